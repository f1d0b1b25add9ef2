"""Nonces that were used, and what they were answered: a repeat acts only once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from imagestoreproxy.model.errors import CallerError, SignatureError
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.web.answers import Answer

Respond = Callable[[Answer], None]

DIGEST_BYTES = 16


@dataclass(slots=True)
class Seen:
    """A signed request that came in.

    Args:
        signature: its digest.
        under_way: it is being answered now; who repeats it waits in ``waiting``.
        forgotten: the request has expired, its answer is not to be kept.
        answer: what it was answered, unless that was not kept.
    """

    signature: bytes
    under_way: bool = False
    forgotten: bool = False
    answer: Answer | None = None
    waiting: list[Respond] | None = None

    def wait(self, respond: Respond) -> None:
        """Have ``respond`` called with the answer."""
        self.waiting = [*(self.waiting or ()), respond]


class Nonces:
    """Remembers each nonce of each ClientId until the request that used it has expired.

    The real client sends the same bytes up to three more times when it got no answer. Whole
    answers are kept within ``max_bytes``; beyond that only those of requests that acted, which are
    small: reading again does no harm.

    Nonces and signatures are kept as digests, about 350 bytes for a request: 65,536 of them, which
    is 2,000 a second of a client that signs for 30 seconds, are 23 MB.

    Args:
        max_entries: how many requests to remember; more at a time are refused.
        max_bytes: of the bodies that are kept.
    """

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._seen: dict[bytes, Seen] = {}
        self._expiring_at: dict[int, list[bytes]] = {}
        self._times: list[int] = []
        self._secret = secrets.token_bytes(32)
        self.kept_bytes = 0

    def __len__(self) -> int:
        return len(self._seen)

    def admit(self, key: tuple[str, str], signature: str, expires_s: int, now_s: float) -> Seen:
        """Give the entry of this request: a new one, or that of the request it repeats.

        Args:
            key: ClientId and nonce.
            expires_s: Unix seconds, from when on the request is refused anyway.

        Raises:
            SignatureError: 403, for a nonce that another request has used.
            CallerError: 429, when there is no room.
        """
        self._forget_expired(now_s)
        name = self._digest(f"{len(key[0])} {key[0]} {key[1]}")
        signed = self._digest(signature)
        seen = self._seen.get(name)
        if seen is not None:
            if not hmac.compare_digest(seen.signature, signed):
                raise SignatureError(
                    "The Nonce was used before by another request of this ClientId (a replay): "
                    "every request needs a new one.",
                    403,
                    reason=Reason.REPLAY,
                )
            return seen
        if len(self._seen) >= self._max_entries:
            raise CallerError(
                f"More than {self._max_entries} signed requests came that have not expired yet: "
                "ask again in half a minute.",
                429,
                reason=Reason.TOO_MANY,
            )
        seen = self._seen[name] = Seen(signed)
        if expires_s not in self._expiring_at:
            self._expiring_at[expires_s] = []
            heappush(self._times, expires_s)
        self._expiring_at[expires_s].append(name)
        return seen

    def settle(self, seen: Seen, answer: Answer) -> None:
        """Keep the answer, and give it to all who wait for it."""
        seen.under_way = False
        room = self.kept_bytes + len(answer.body) <= self._max_bytes
        if seen.answer is None and not seen.forgotten and (room or answer.acted):
            seen.answer = answer
            self.kept_bytes += len(answer.body)
        waiting, seen.waiting = seen.waiting or (), None
        for respond in waiting:
            respond(answer)

    def _digest(self, text: str) -> bytes:
        # Keyed, so that nobody can look for two texts with one digest.
        return hashlib.blake2b(
            text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES, key=self._secret
        ).digest()

    def _forget_expired(self, now_s: float) -> None:
        while self._times and self._times[0] < now_s:
            for name in self._expiring_at.pop(heappop(self._times)):
                seen = self._seen.pop(name)
                seen.forgotten = True
                if seen.answer is not None:
                    self.kept_bytes -= len(seen.answer.body)
