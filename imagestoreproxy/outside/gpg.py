"""Signed documents, by GnuPG, with one keyring in a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import gnupg

from imagestoreproxy import ports
from imagestoreproxy.model.errors import DocumentError, OwnStateError
from imagestoreproxy.outside.process import ENVIRONMENT
from imagestoreproxy.outside.statuslines import check_shape, signer

LIMIT_BYTES = 2 << 20
_KEYRING_LIMIT_BYTES = 16 << 20
_KEYBOX = b"KBXf"  # at offset 8: GnuPG's keybox, which gpg --import does not read
_OPTIONS = [
    "--no-options",  # whatever this user's own gpg.conf says
    "--no-autostart",  # no agent
    "--disable-dirmngr",
    "--no-auto-key-retrieve",
    "--no-auto-key-locate",
    "--lock-never",  # the home is ours alone, and used by one gpg at a time
    "--trust-model=always",  # the keyring itself says who is trusted
    "--no-sig-cache",
]


class GpgVerifier:
    """``ports.Verifier`` for one keyring.

    Args:
        background: where gpg is waited for.
        keyring: binary, armored or a keybox; read again whenever it changes, never written.
        home: a directory for GnuPG's own files, 0700; made, emptied and filled by this object.
        timeout_s: after which a gpg is ended.
    """

    def __init__(
        self, background: ports.Background, keyring: Path, home: Path, *, timeout_s: float = 30.0
    ) -> None:
        self._background = background
        self._keyring = keyring
        self._home = home
        self._timeout_s = timeout_s
        self._turn = threading.Lock()  # one gpg at a time; also over what follows
        self._read: tuple[int, int, int] | None = None
        self._fingerprints: tuple[str, ...] = ()

    async def verify(self, message: bytes) -> ports.Signed:
        """Check an OpenPGP clear-signed message; see ``ports.Verifier``.

        Raises:
            DocumentError: it is not to be believed.
            OwnStateError: gpg or the keyring cannot be used.
        """
        if len(message) > LIMIT_BYTES:
            raise DocumentError(
                f"The document has {len(message)} bytes; at most {LIMIT_BYTES} are taken."
            )
        check_shape(message)
        return await self._background.run(lambda stop: self._verify(message, stop))

    async def fingerprints(self) -> tuple[str, ...]:
        """Give the fingerprints of the keyring's primary keys; a check for the start.

        Raises:
            OwnStateError: gpg is missing, or the keyring is, or has no keys.
        """

        def read(stop: ports.Stop) -> tuple[str, ...]:
            with self._turn:
                self._refresh(stop)
                return self._fingerprints

        return await self._background.run(read)

    def _verify(self, message: bytes, stop: ports.Stop) -> ports.Signed:
        with self._turn:
            self._refresh(stop)
            with _BoundedGPG(self._home, self._timeout_s) as gpg:
                # The limit: what is signed cannot be larger than the message, unless it unpacks.
                seen = gpg.decrypt(message, extra_args=["--max-output", str(LIMIT_BYTES)])
            if gpg.was_ended:
                raise DocumentError(f"GnuPG did not answer within {self._timeout_s:g} s.")
        # Without a report where python-gnupg's reader came to grief: then nothing is believed.
        report = getattr(seen, "stderr", None) or ""
        return ports.Signed(bytes(seen.data), signer(report, str(self._keyring)))

    def _refresh(self, stop: ports.Stop) -> None:
        """Fill the home from the keyring if that has changed since."""
        try:
            found = self._keyring.stat()
            now = (found.st_mtime_ns, found.st_size, found.st_ino)
            if now == self._read and self._home.is_dir():
                return
            if found.st_size > _KEYRING_LIMIT_BYTES:
                raise OwnStateError(f"The keyring {self._keyring} is too large to be one.")
            content = self._keyring.read_bytes()
            self._read = None
            shutil.rmtree(self._home, ignore_errors=True)
            self._home.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise OwnStateError(
                f"The keyring {self._keyring} cannot be used: {error.strerror} "
                f"({error.filename}); give --keyring a file with the store's public key."
            ) from error
        stop.check()
        with _BoundedGPG(self._home, self._timeout_s) as gpg:
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
        self._read = now


class _BoundedGPG(gnupg.GPG):  # type: ignore[misc]
    """python-gnupg with a time limit: it has none, and waits for its gpg without end."""

    def __init__(self, home: Path, timeout_s: float) -> None:
        self.was_ended = False
        self._timeout_s = timeout_s
        self._timers: list[threading.Timer] = []
        try:
            super().__init__(
                gpgbinary=gpg_path(), gnupghome=str(home), options=_OPTIONS, env=ENVIRONMENT
            )
        except (OSError, ValueError) as error:
            raise OwnStateError(f"The program gpg cannot be run here: {error}.") from error

    def __enter__(self) -> _BoundedGPG:
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()

    def _open_subprocess(self, *args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        opened: subprocess.Popen[bytes] = super()._open_subprocess(*args, **kwargs)

        def end() -> None:
            self.was_ended = True
            opened.kill()

        timer = threading.Timer(self._timeout_s, end)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)
        return opened


def gpg_path() -> str:
    """Give the path of the program gpg.

    Raises:
        OwnStateError: it is not installed.
    """
    found = shutil.which("gpg", path=os.environ.get("PATH", "") + ":" + ENVIRONMENT["PATH"])
    if found is None:
        raise OwnStateError(
            "The program gpg, which checks the signatures of image stores, is not installed here; "
            "install the package gpg."
        )
    return found
