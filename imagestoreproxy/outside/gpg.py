"""Signed documents, by GnuPG, with one keyring in a home of its own."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from imagestoreproxy import ports
from imagestoreproxy.model.errors import DocumentError, OwnStateError
from imagestoreproxy.model.fingerprints import normal_fingerprint
from imagestoreproxy.outside.gpgcall import BoundedGPG
from imagestoreproxy.outside.statuslines import check_shape, check_signature_shape, signer
from imagestoreproxy.regular import read_regular

LIMIT_BYTES = 2 << 20
_KEYRING_LIMIT_BYTES = 16 << 20
_KEYBOX = b"KBXf"  # at offset 8: GnuPG's keybox, which gpg --import does not read


class GpgVerifier:
    """``ports.Verifier`` for one keyring.

    Args:
        background: where gpg is waited for.
        keyring: binary, armored or a keybox; read again whenever it changes, never written.
        home: a directory for GnuPG's own files, 0700; made, emptied and filled by this object.
        fingerprints: of the keyring's primary keys, those that are believed; empty: all of them.
        limit_bytes: a larger document is refused unread.
        timeout_s: after which a gpg is ended.

    Raises:
        SettingsError: one of ``fingerprints`` is none.
    """

    def __init__(
        self,
        background: ports.Background,
        keyring: Path,
        home: Path,
        *,
        fingerprints: Iterable[str] = (),
        limit_bytes: int = LIMIT_BYTES,
        timeout_s: float = 30.0,
    ) -> None:
        self._background = background
        self._keyring = keyring
        self._home = home
        self._pinned = tuple(normal_fingerprint(one) for one in fingerprints)
        self._limit_bytes = limit_bytes
        self._timeout_s = timeout_s
        self._turn = threading.Lock()  # one gpg at a time; also over what follows
        self._read: tuple[int, int, int] | None = None
        self._fingerprints: tuple[str, ...] = ()
        self._names: dict[str, str] = {}

    def name_of(self, fingerprint: str) -> str:
        """Give the first name (user id) of a primary key, as the keyring was last read; or empty.

        In memory: never waits.
        """
        return self._names.get(fingerprint, "")

    async def verify(self, message: bytes) -> ports.Signed:
        """Check an OpenPGP clear-signed message; see ``ports.Verifier``.

        Raises:
            DocumentError: it is not to be believed.
            OwnStateError: gpg or the keyring cannot be used.
        """
        self._check_size(message)
        return await self._background.run(lambda stop: self._verify(message, stop))

    async def verify_detached(self, content: bytes, signature: bytes) -> ports.Signed:
        """Check a detached OpenPGP signature, armored or binary; see ``ports.Verifier``.

        Raises:
            DocumentError: it is not to be believed.
            OwnStateError: gpg or the keyring cannot be used.
        """
        self._check_size(content)
        check_signature_shape(signature)
        return await self._background.run(
            lambda stop: self._verify_detached(content, signature, stop)
        )

    async def fingerprints(self) -> tuple[str, ...]:
        """Give the fingerprints of the primary keys that are believed; a check for the start.

        Raises:
            OwnStateError: gpg is missing, or the keyring is, or has no keys, or lacks a pinned one.
        """

        def read(stop: ports.Stop) -> tuple[str, ...]:
            with self._turn:
                self._refresh(stop)
                missing = [one for one in self._pinned if one not in self._fingerprints]
                if missing:
                    raise OwnStateError(
                        f"The keyring {self._keyring} has no key {', '.join(missing)}, which alone "
                        f"is to be believed; its keys are {', '.join(self._fingerprints[:20])}."
                    )
                return tuple(
                    one for one in self._fingerprints if not self._pinned or one in self._pinned
                )

        return await self._background.run(read)

    def _check_size(self, document: bytes) -> None:
        if len(document) > self._limit_bytes:
            raise DocumentError(
                f"The document has {len(document)} bytes; at most {self._limit_bytes} are taken."
            )

    def _verify(self, message: bytes, stop: ports.Stop) -> ports.Signed:
        check_shape(message)
        with self._turn:
            self._refresh(stop)
            with BoundedGPG(self._home, self._timeout_s) as gpg:
                signed = gpg.signed_text(message, self._limit_bytes)
        key = signer(gpg.report(), str(self._keyring))
        return self._believed(gpg, signed, key)

    def _verify_detached(self, content: bytes, signature: bytes, stop: ports.Stop) -> ports.Signed:
        with self._turn:
            self._refresh(stop)
            beside = self._home.absolute() / "signature"
            try:
                beside.touch(mode=0o600)
                beside.write_bytes(signature)
            except OSError as error:
                raise OwnStateError(
                    f"The signature cannot be written to {beside}: {error.strerror}."
                ) from error
            with BoundedGPG(self._home, self._timeout_s) as gpg:
                gpg.check_beside(content, beside)
            beside.unlink(missing_ok=True)
        key = signer(gpg.report(), str(self._keyring), is_detached=True)
        return self._believed(gpg, content, key)

    def _believed(self, gpg: BoundedGPG, payload: bytes, key: str) -> ports.Signed:
        if gpg.status() != 0:
            raise DocumentError(
                f"GnuPG refuses the document: it ended with the exit status {gpg.status()}."
            )
        if self._pinned and key not in self._pinned:
            raise DocumentError(
                f"The document is signed by the key {key}, but only {' or '.join(self._pinned)} is "
                "to be believed for it; it is refused."
            )
        return ports.Signed(payload, key)

    def _refresh(self, stop: ports.Stop) -> None:
        """Fill the home from the keyring if that has changed since."""
        try:
            found = self._keyring.stat()
            now = (found.st_mtime_ns, found.st_size, found.st_ino)
            if now == self._read and self._home.is_dir():
                return
            content = read_regular(self._keyring, _KEYRING_LIMIT_BYTES)
            self._read = None
            shutil.rmtree(self._home, ignore_errors=True)
            self._home.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise OwnStateError(
                f"The keyring {self._keyring} cannot be used: {error.strerror} "
                f"({error.filename}); give --keyring a file with the store's public key."
            ) from error
        stop.check()
        with BoundedGPG(self._home, self._timeout_s) as gpg:
            if content[8:12] == _KEYBOX:
                own = self._home / "pubring.kbx"
                own.touch(mode=0o600)
                own.write_bytes(content)
            else:
                gpg.import_keys(content)
            keys = gpg.list_keys()
        if not keys:
            raise OwnStateError(
                f"The keyring {self._keyring} has no public key that GnuPG can read; import the "
                "store's key into it."
            )
        self._fingerprints = tuple(key["fingerprint"] for key in keys)
        self._names = {key["fingerprint"]: next(iter(key["uids"]), "") for key in keys}
        self._read = now
