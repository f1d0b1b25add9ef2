"""The signed files of a mirror, as they are fetched, kept and verified.

A file is ``NAME.sjson``, which holds its own signature, else ``NAME.json`` with ``NAME.json.gpg``
beside it; the first is preferred because the two of the second may not match in the middle of an
update (simplestreams' ``doc/README``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from imagestoreproxy.model.errors import DocumentError, FetchError, OwnStateError
from imagestoreproxy.ports import Background, Clock, Fetched, Fetcher, Kept, Verifier

LIMIT_BYTES = 64 * 2**20
# S3 says 403 of what is not there to who may not list.
NOT_THERE = (403, 404, 410)
SIGNATURE_LIMIT_BYTES = 64 * 2**10


class Form(StrEnum):
    """How a file is signed; in the order in which they are tried."""

    INLINE = "inline"
    DETACHED = "detached"
    UNSIGNED = "unsigned"


SUFFIXES: Mapping[Form, tuple[str, ...]] = {
    Form.INLINE: (".sjson",),
    Form.DETACHED: (".json", ".json.gpg"),
    Form.UNSIGNED: (".json",),
}


@dataclass(frozen=True, slots=True)
class Message:
    """One file as it came: its text, and where that is apart its signature.

    Args:
        stem: path from the mirror's root, without its suffix.
        parts: an answer for each suffix of its form.
        digests: SHA-256 of each part, by which it is found among the evidence.
    """

    stem: str
    form: Form
    parts: tuple[Kept, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a message says, once it is believed.

    Args:
        fingerprint: of the key that signed it; empty if nobody did.
    """

    payload: bytes
    fingerprint: str


def stem_of(path: str) -> str:
    """Give a path without its suffix, whatever form it names."""
    for suffix in (".sjson", ".json"):
        if path.endswith(suffix):
            return path.removesuffix(suffix)
    raise DocumentError(f"The catalogue names a file '{path[:200]}' that is no .sjson or .json.")


class Messages:
    """Fetches and opens the files of one mirror and of those that stand in for it.

    Args:
        roots: of the mirror and of others with the same content; each ends in a slash.
        verifier: whose keys may sign; None where nothing is signed.
    """

    def __init__(
        self,
        roots: Sequence[str],
        *,
        fetcher: Fetcher,
        verifier: Verifier | None,
        background: Background,
        clock: Clock,
    ) -> None:
        self._roots = list(roots)
        self._fetcher = fetcher
        self._verifier = verifier
        self._background = background
        self._clock = clock
        self._forms = [Form.INLINE, Form.DETACHED] if verifier else [Form.UNSIGNED]
        self._form: Form | None = None
        self.from_local: bool | None = None

    def url(self, stem: str, suffix: str) -> str:
        """Give what a part is kept under, wherever it came from."""
        return f"{self._roots[0]}{stem}{suffix}"

    def urls(self, stem: str) -> set[str]:
        """Give all that the parts of a file may be kept under, in whatever form it comes."""
        return {self.url(stem, suffix) for suffixes in SUFFIXES.values() for suffix in suffixes}

    async def message(self, stem: str, form: Form, parts: Iterable[Kept]) -> Message:
        """Put a message together from its parts."""
        all_parts = tuple(parts)
        digests = await self._background.run(
            lambda _stop: tuple(hashlib.sha256(part.body).hexdigest() for part in all_parts)
        )
        return Message(stem, form, all_parts, digests)

    async def from_kept(self, kept: Iterable[Kept]) -> list[Message]:
        """Put together what the records hold."""
        by_url = {one.url: one for one in kept}
        root = self._roots[0]
        stems = {
            stem_of(url.removeprefix(root)) for url in by_url if url.endswith((".sjson", ".json"))
        }
        found = []
        for stem in sorted(stems):
            for form in self._forms:
                urls = [self.url(stem, suffix) for suffix in SUFFIXES[form]]
                if all(url in by_url for url in urls):
                    found.append(await self.message(stem, form, [by_url[url] for url in urls]))
                    break
        return found

    async def fetch(self, stem: str, known: Mapping[str, str]) -> Message | None:
        """Fetch a file; None when it is still what is known.

        Args:
            known: validators of what is kept, by ``url``.

        Raises:
            FetchError: no root has it.
        """
        # The one that worked last comes first; a mirror may change it.
        forms = [form for form in self._forms if form is self._form]
        forms += [form for form in self._forms if form is not self._form]
        for form in forms:
            try:
                message = await self._from_roots(stem, form, known)
            except FetchError as error:
                if error.status not in NOT_THERE or form is forms[-1]:
                    raise
            else:
                self._form = form
                return message
        raise AssertionError  # the last form returns or raises

    async def _from_roots(self, stem: str, form: Form, known: Mapping[str, str]) -> Message | None:
        problems: list[FetchError] = []
        for root in list(self._roots):
            try:
                return await self._from(root, stem, form, known)
            except FetchError as error:
                problems.append(error)
        others = " ".join(problem.message for problem in problems[1:])
        first = problems[0]
        if not others:
            raise first
        raise FetchError(
            f"{first.message} {others}",
            retry_helps=any(problem.retry_helps for problem in problems),
            # One that knows nothing of this form is enough to try the next, wherever others are.
            status=404 if any(problem.status == 404 for problem in problems) else 0,
        )

    async def _from(
        self, root: str, stem: str, form: Form, known: Mapping[str, str]
    ) -> Message | None:
        suffixes = SUFFIXES[form]
        # A validator says something of the server that gave it, and of no other.
        validators = known if root == self._roots[0] else {}
        fetched = [
            await self._get(root, stem, suffix, validators.get(self.url(stem, suffix), ""))
            for suffix in suffixes
        ]
        if all(one.is_unchanged for one in fetched):
            return None
        now_s = self._clock.now_s()
        parts = []
        for suffix, one in zip(suffixes, fetched, strict=True):
            whole = await self._get(root, stem, suffix, "") if one.is_unchanged else one
            validator = whole.validator if root == self._roots[0] else ""
            parts.append(Kept(self.url(stem, suffix), whole.body, validator, now_s))
        return await self.message(stem, form, parts)

    async def _get(self, root: str, stem: str, suffix: str, known: str) -> Fetched:
        limit_bytes = SIGNATURE_LIMIT_BYTES if suffix.endswith(".gpg") else LIMIT_BYTES
        fetched = await self._fetcher.get(
            f"{root}{stem}{suffix}", limit_bytes=limit_bytes, allow_local=True, known=known
        )
        if root == self._roots[0]:
            self.from_local = fetched.from_local
        return fetched

    async def open(self, message: Message) -> Opened:
        """Verify a message, and give what it says.

        Raises:
            DocumentError: it is not to be believed.
        """
        text = message.parts[0].body
        if self._verifier is None:
            return Opened(text, "")
        try:
            if message.form is Form.INLINE:
                signed = await self._verifier.verify(text)
            elif message.form is Form.DETACHED:
                signed = await self._verifier.verify_detached(text, message.parts[1].body)
            else:
                raise DocumentError("it is not signed.")
        except DocumentError as error:
            raise DocumentError(
                f"The catalogue {message.parts[0].url} is refused: {error.message}"
            ) from error
        except OwnStateError as error:
            # The source is what fails, and it alone; the daemon goes on.
            raise DocumentError(
                f"The catalogue {message.parts[0].url} cannot be verified: {error.message}"
            ) from error
        return Opened(signed.payload, signed.fingerprint)
