"""The directory in which fetched credentials are kept: private, and never half of one set."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

from imagestoreproxy.clouds.credentials import Credentials, from_directory, read_bounded
from imagestoreproxy.clouds.euca2ools.ground import end_orphans
from imagestoreproxy.clouds.frontend.eucaconf import ROOM, NotGivenError
from imagestoreproxy.clouds.frontend.pace import DAY_S, Pace
from imagestoreproxy.clouds.frontend.signing import make_pair
from imagestoreproxy.model.errors import CloudError, DiskError, SettingsError

NAME = "credentials"
OLD = "credentials.old"
ASKED = "credentials.asked"
NEW = "credentials.new-"
# Private key and certificate: those of an earlier archive, and those made here.
KEPT_FILES = ("kept-pk.pem", "kept-cert.pem")
OWN_FILES = ("signing-pk.pem", "signing-cert.pem")
_KEPT = " kept"
# For an archive and what is in it.
ROOM_BYTES = 128 * 1024


class Kept:
    """``DIR/credentials`` of a data directory.

    Args:
        may_write: it may be changed; else a pair that is made is kept in memory alone.
        now_s: Unix seconds.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        may_write: bool = True,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.path = self.data_dir / NAME
        self._may_write = may_write
        self._asked = self.data_dir / ASKED
        self._pace = Pace(DAY_S, now_s)
        self._pair: tuple[bytes, bytes] | None = None

    def is_there(self) -> bool:
        """Tell whether an archive is kept; puts one back whose replacement was cut short."""
        old = self.data_dir / OLD
        if self._may_write and not self.path.exists() and (old / "eucarc").exists():
            with suppress(OSError):
                old.rename(self.path)
        return (self.path / "eucarc").exists()

    def state(self) -> tuple[int, ...]:
        """Give something that changes when an archive takes the place of another."""
        try:
            found = (self.path / "eucarc").stat()
        except OSError:
            return ()
        return (found.st_ino, found.st_mtime_ns)

    def wait_s(self, first_s: float) -> float:
        """Tell how long no archive is to be fetched, as that was done; see ``Pace``."""
        self._remember()
        return self._pace.wait_s(first_s)

    def hurry(self) -> None:
        """Somebody says that things have changed."""
        self._pace.hurry()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Remember, over restarts as well, that an archive is fetched in this context.

        Where nothing is kept, a cloud that is not there yet may be asked again soon.

        Raises:
            CloudError: that cannot be written: then nothing is to be fetched, either.
        """
        self._remember()
        before, had = self._pace.as_text(), self.is_there()
        self._pace.asked()
        self._see_room()
        self._note(self._pace.as_text())
        try:
            yield
        except NotGivenError:
            if not had:
                self._note(before)
            raise
        self._note(self._pace.as_text() + _KEPT)

    def _see_room(self) -> None:
        """See that the disk has room for an archive: some clouds give a certificate only once."""
        try:
            with tempfile.TemporaryFile(dir=self.data_dir) as file:
                os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
        except OSError as error:
            raise self._unwritable(error) from None

    def _remember(self) -> None:
        try:
            text, kept, _ = self._asked.read_text("utf-8").partition(_KEPT)
        except (OSError, ValueError):
            text = kept = ""
        self._pace.from_text(text)
        if kept and not self.is_there():
            self._pace.forget()  # somebody has removed them so that others are fetched

    def _note(self, text: str) -> None:
        try:
            _write(self._asked, text.encode())
            self._belong()
        except OSError as error:
            raise self._unwritable(error) from None

    def read(self) -> Credentials:
        """Give what is kept, with the signing pair that lies beside it where it has no other.

        Raises:
            SettingsError: it cannot be read, or has no keys.
            CloudError: no pair can be made.
        """
        return self._completed(from_directory(self.path))

    @contextmanager
    def renewed(self) -> Iterator[Path]:
        """Give an empty directory; what is in it at the end takes the place of what was kept.

        Only for who holds the lock: of others that fetch, what there is has been left behind.
        Nothing changes when the context fails, or when what is there is not complete enough.

        Raises:
            CloudError: it has no keys, or cannot be written.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_left_behind()
            new = Path(tempfile.mkdtemp(prefix=NEW, dir=self.data_dir))
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            yield new
            found = _believed(new)
            if not found.user_certificate:
                self._hand_on_pair(new)
            self._take_place(new)
        finally:
            rmtree(new, ignore_errors=True)

    def signing_pair(self) -> tuple[bytes, bytes]:
        """Give the private key and the certificate of our own, made when there is none.

        Raises:
            CloudError: they cannot be written.
        """
        if self._pair is None:
            self._pair = _pair_in(self.path, OWN_FILES)
        if self._pair is None:
            self._pair = make_pair()
            if self._may_write:
                try:
                    self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                    _write_pair(self.path, self._pair, OWN_FILES)
                    self._belong()
                except OSError as error:
                    raise self._unwritable(error) from None
        return self._pair

    def _completed(self, found: Credentials) -> Credentials:
        if found.user_certificate and found.user_private_key:
            return found
        handed_out = _pair_in(self.path, KEPT_FILES)
        key, certificate = handed_out or self.signing_pair()
        return replace(
            found,
            user_private_key=key,
            user_certificate=certificate,
            is_own_certificate=handed_out is None,
        )

    def _hand_on_pair(self, new: Path) -> None:
        """Keep the certificate that is there: the cloud hands it out only once."""
        with suppress(SettingsError, CloudError):
            before = self.read()
            files = OWN_FILES if before.is_own_certificate else KEPT_FILES
            _write_pair(new, (before.user_private_key, before.user_certificate), files)
            return
        _write_pair(new, self.signing_pair(), OWN_FILES)

    def _take_place(self, new: Path) -> None:
        old = self.data_dir / OLD
        try:
            rmtree(old, ignore_errors=True)
            if self.path.exists():
                self.path.rename(old)
            new.rename(self.path)
            self._belong()
            rmtree(old, ignore_errors=True)
        except OSError as error:
            raise self._unwritable(error) from None
        self._pair = None

    def _belong(self) -> None:
        """Give it to whom the data directory belongs, where root has made it."""
        if os.geteuid() == 0:
            owner = self.data_dir.stat()
            for path in (self._asked, self.path, *self.path.glob("*")):
                with suppress(FileNotFoundError):
                    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _remove_left_behind(self) -> None:
        """End a euca_conf that has outlived its daemon, and remove what it was given."""
        for path in (*self.data_dir.glob(f"{NEW}*"), *self.data_dir.glob(f"{ROOM}*")):
            with suppress(DiskError):
                end_orphans(path)
            rmtree(path, ignore_errors=True)

    def _unwritable(self, error: OSError) -> CloudError:
        return CloudError(
            f"The credentials cannot be kept in {self.path} ({error.strerror}): check the disk and "
            "the owner of the data directory."
        )


def _believed(new: Path) -> Credentials:
    try:
        return from_directory(new)
    except SettingsError as error:
        # The directory is gone when this is read.
        told = error.message.replace(f"credentials directory {new}", "its eucarc")
        told = told.replace(f"{new}/", "")
        raise CloudError(f"The archive that was fetched cannot be used: {told}") from None


def _pair_in(directory: Path, names: tuple[str, str]) -> tuple[bytes, bytes] | None:
    paths = [directory / name for name in names]
    if not all(path.is_file() for path in paths):
        return None
    key, certificate = (read_bounded(path, "the signing pair") for path in paths)
    return key, certificate


def _write_pair(directory: Path, pair: tuple[bytes, bytes], names: tuple[str, str]) -> None:
    for name, content in zip(names, pair, strict=True):
        _write(directory / name, content)


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
