"""One call of gpg through python-gnupg, bounded in time and memory."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gnupg

from imagestoreproxy.model.errors import DocumentError, OwnStateError
from imagestoreproxy.outside.process import ENVIRONMENT

_OPTIONS = [
    "--no-options",  # whatever this user's own gpg.conf says
    "--no-autostart",  # no agent
    "--disable-dirmngr",
    "--no-auto-key-retrieve",
    "--no-auto-key-locate",
    "--lock-never",  # the home is ours alone, and used by one gpg at a time
    "--trust-model=always",  # the keyring itself says who is trusted
    "--no-sig-cache",
    "--logger-file=/dev/null",  # the status lines are enough; strangers can make the rest endless
]


class BoundedGPG(gnupg.GPG):  # type: ignore[misc]
    """python-gnupg with limits of time and memory; it has none, and waits for gpg without end.

    ``report`` and ``status`` tell of its one check.
    """

    def __init__(self, home: Path, timeout_s: float) -> None:
        self._was_ended = False
        self._timeout_s = timeout_s
        self._timers: list[threading.Timer] = []
        self._seen: Any = None
        try:
            super().__init__(
                gpgbinary=gpg_path(), gnupghome=str(home), options=_OPTIONS, env=ENVIRONMENT
            )
        except (OSError, ValueError) as error:
            raise OwnStateError(f"The program gpg cannot be run here: {error}.") from error
        # What gpg has said is wanted also where python-gnupg raises, as it does when gpg ends
        # before it has read all.
        known: dict[str, Callable[[Any], Any]] = gnupg.GPG.result_map
        self.result_map = {name: self._kept(made) for name, made in known.items()}

    def __enter__(self) -> BoundedGPG:
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()

    def signed_text(self, message: bytes, limit_bytes: int) -> bytes:
        """Let gpg check a message, and give what it says was signed, good or not."""
        text = io.BytesIO()  # grows in place, and gives its bytes without a copy

        def take(block: bytes) -> bool:
            if text.tell() <= limit_bytes:
                text.write(block)
            return False  # python-gnupg need not keep it too

        self.on_data = take
        with contextlib.suppress(BrokenPipeError):
            # What is signed cannot be larger than the message, unless it unpacks.
            self.decrypt(message, extra_args=["--max-output", str(limit_bytes)])
        if text.tell() > limit_bytes:
            raise DocumentError(f"The document unpacks to more than {limit_bytes} bytes.")
        return text.getvalue()

    def check_beside(self, content: bytes, signature: Path) -> None:
        """Let gpg check a content with the signature in a file."""
        with contextlib.suppress(BrokenPipeError):
            self.verify_data(str(signature), content)

    def report(self) -> str:
        """Give what gpg wrote.

        Raises:
            DocumentError: it was ended for taking too long.
        """
        if self._was_ended:
            raise DocumentError(f"GnuPG did not answer within {self._timeout_s:g} s.")
        # Without a report where python-gnupg's reader came to grief: then nothing is believed.
        return getattr(self._seen, "stderr", None) or ""

    def status(self) -> int:
        """Give gpg's exit status."""
        status = getattr(self._seen, "returncode", None)
        return -1 if status is None else status

    def _kept(self, made: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def make(gpg: Any) -> Any:
            self._seen = made(gpg)
            return self._seen

        return make

    def _open_subprocess(self, *args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        opened: subprocess.Popen[bytes] = super()._open_subprocess(*args, **kwargs)

        def end() -> None:
            self._was_ended = True
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
