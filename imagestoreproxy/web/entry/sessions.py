"""Browsers that have logged in: looked up in memory, remembered on the disk."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace

from imagestoreproxy.model.sessions import (
    Session,
    csrf_token_of,
    digest_of,
    is_proved,
    proof_of,
)
from imagestoreproxy.ports import Clock, SessionRecords
from imagestoreproxy.shop import Keys

LIFETIME_S = 12 * 3600
TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Held:
    """A session that goes on.

    Args:
        until_s: when it ends by the monotonic clock; the time of day may be set back.
    """

    session: Session
    until_s: float


class Sessions:
    """All browsers that have logged in and not out again.

    Args:
        most_of_one: of one client; the one that was begun first ends when there are more.
        most: of all clients.
        lifetime_s: from the login on, however busy it is.
    """

    def __init__(
        self,
        records: SessionRecords,
        keys: Keys,
        clock: Clock,
        *,
        most_of_one: int = 20,
        most: int = 1000,
        lifetime_s: int = LIFETIME_S,
    ) -> None:
        self._records = records
        self._keys = keys
        self._clock = clock
        self._most_of_one = most_of_one
        self._most = most
        self._lifetime_s = lifetime_s
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def load(self) -> None:
        """Take up those that go on from before the start, and forget the others."""
        for session in await self._records.sessions():
            self._hold(session)
        if over := self._make_room():
            await self._records.end_sessions(over)

    async def begin(self, client_id: str) -> tuple[Session, str]:
        """Begin a session of a client that has signed; give it with its token.

        It is on the disk when this returns.

        Raises:
            StoreProxyError: it cannot be written there, and was not begun.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now_s = int(self._clock.now_s())
        session = Session(digest_of(token), client_id, now_s, now_s + self._lifetime_s)
        session = replace(session, proof=proof_of(session, self._keys.secret_for(client_id) or ""))
        # Held before it is written, so that of many logins at once no more than allowed stay.
        self._hold(session)
        ended = self._make_room(client_id)
        try:
            await self._records.begin_session(session, ended)
        except BaseException:
            self._held.pop(session.digest, None)
            raise
        return session, token

    def find(self, token: str) -> Session | None:
        """Give the session of a token while it goes on."""
        held = self._held.get(digest_of(token))
        return held.session if held and self.goes_on(held.session) else None

    def goes_on(self, session: Session) -> bool:
        """Tell whether a session has neither ended nor expired, nor its client's key changed."""
        if self._has_ended(session):
            return False
        secret = self._keys.secret_for(session.client_id)
        return bool(secret) and is_proved(session, secret or "")

    def _has_ended(self, session: Session) -> bool:
        held = self._held.get(session.digest)
        if held is None:
            return True
        is_late = self._clock.now_s() >= session.expires_at_s
        return is_late or self._clock.monotonic_s() >= held.until_s

    async def end(self, session: Session) -> None:
        """End a session, at once; on the disk when this returns.

        Raises:
            StoreProxyError: it cannot be written there: the session goes on, to be ended again.
        """
        held = self._held.pop(session.digest, None)
        try:
            await self._records.end_sessions([session.digest])
        except BaseException:
            # Ended in memory alone, it would be there again after the next start.
            if held is not None:
                self._held[session.digest] = held
            raise

    def csrf_token(self, session: Session) -> str:
        """Give what requests of this session that change something have to carry."""
        return csrf_token_of(session, self._keys.secret_for(session.client_id) or "")

    def _hold(self, session: Session) -> None:
        # A clock that was wrong when it was begun does not make it longer.
        left_s = min(session.expires_at_s - self._clock.now_s(), self._lifetime_s)
        self._held[session.digest] = _Held(session, self._clock.monotonic_s() + left_s)

    def _make_room(self, client_id: str | None = None) -> Collection[str]:
        """End those that have expired and those that are too many; give their digests."""
        all_held = [held.session for held in self._held.values()]
        # While nobody's key is known, none of them is known to have changed.
        is_over = self._has_ended if self._keys.absence else lambda one: not self.goes_on(one)
        ended = [session for session in all_held if is_over(session)]
        left = [session for session in all_held if session not in ended]
        same = [session for session in left if session.client_id == client_id]
        ended += same[: max(0, len(same) - self._most_of_one)]
        left = [session for session in left if session not in ended]
        ended += left[: max(0, len(left) - self._most)]
        for session in ended:
            del self._held[session.digest]
        return [session.digest for session in ended]
