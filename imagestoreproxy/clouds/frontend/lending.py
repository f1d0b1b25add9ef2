"""The administrator's credentials as the front end's own programs give them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.frontend import clcadmin, eucaconf
from imagestoreproxy.clouds.frontend.kept import Kept
from imagestoreproxy.model.errors import CloudError, SettingsError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import Programs

# How soon a program may be asked again when the cloud does not take what it gave.
EUCA_CONF_AGAIN_S = 600.0
CLCADMIN_AGAIN_S = 30.0
_POLL_S = 0.2


class FrontEnd:
    """What was kept, else ``euca_conf``, else ``clcadmin-assume-system-credentials``.

    Args:
        prefix: where Eucalyptus is installed.
        may_fetch: ``euca_conf`` may be called, and the data directory written.

    Attributes:
        again_s: how soon what was found may be fetched again.
        is_new: what was found has just been fetched.
    """

    def __init__(
        self, prefix: Path, data_dir: Path, programs: Programs, *, may_fetch: bool = True
    ) -> None:
        self.again_s = CLCADMIN_AGAIN_S
        self.is_new = False
        self._prefix = prefix
        self._programs = programs
        self._may_fetch = may_fetch
        self.kept = Kept(data_dir, may_write=may_fetch)

    def find(self, stop: Stop, *, anew: bool) -> Credentials | None:
        """Give what there is; None where neither program is, and nothing kept.

        Args:
            anew: the cloud does not take what was given before.

        Raises:
            CloudError, SettingsError: there is a program, and it gave nothing that can be used.
        """
        self.is_new = False
        problem: CloudError | SettingsError | None = None
        if self.kept.is_there() and not anew:
            try:
                return self._kept()
            except SettingsError as error:
                problem = error  # damaged: fetched anew
        if self._is_program(eucaconf.NAME) and self._may_fetch:
            try:
                return self._fetched(stop, self.kept.age_s())
            except (CloudError, SettingsError) as error:
                problem = error
        if self._is_program(clcadmin.NAME):
            try:
                return self._assumed(stop)
            except CloudError as error:
                problem = (
                    CloudError(" ".join([problem.message, error.message])) if problem else error
                )
        if problem is not None:
            raise problem
        if self._is_program(eucaconf.NAME):
            raise CloudError(
                f"No credentials are kept in {self.kept.path} yet: the daemon fetches them with "
                f"{self._prefix / eucaconf.NAME} when it starts."
            )
        return self._kept() if self.kept.is_there() else None

    def watched(self) -> list[Path]:
        """Name what tells, by its times and sizes, whether anything has changed."""
        programs = [self._prefix / name for name in (eucaconf.NAME, clcadmin.NAME)]
        return [self.kept.path / "eucarc", *programs]

    def lacks(self) -> str:
        """Say what was looked for in vain."""
        programs = " nor ".join(str(self._prefix / name) for name in (eucaconf.NAME, clcadmin.NAME))
        return f"neither {programs} is there"

    def _is_program(self, name: str) -> bool:
        return (self._prefix / name).is_file()

    def _kept(self) -> Credentials:
        self.again_s = EUCA_CONF_AGAIN_S
        found = self.kept.read()
        origin = f"{self.kept.path} (from {self._prefix / eucaconf.NAME})"
        return replace(found, origin=origin, is_fetched=True)

    def _fetched(self, stop: Stop, age_s: float) -> Credentials:
        with self._alone(stop):
            # Another process may have fetched them while this one waited.
            if not self.kept.age_s() < age_s:
                with self.kept.renewed() as new:
                    eucaconf.fetch(self._prefix, self.kept.data_dir, new, self._programs, stop)
            self.is_new = True
            return self._kept()

    def _assumed(self, stop: Stop) -> Credentials:
        found = clcadmin.assume(self._prefix, self._programs, stop)
        key, certificate = self.kept.signing_pair()
        self.again_s = CLCADMIN_AGAIN_S
        self.is_new = True
        return replace(
            found,
            user_private_key=key,
            user_certificate=certificate,
            is_own_certificate=True,
            is_fetched=True,
        )

    @contextmanager
    def _alone(self, stop: Stop) -> Iterator[None]:
        """Keep a daemon and a check beside it from fetching at the same time."""
        try:
            self.kept.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.kept.data_dir, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise CloudError(
                f"The data directory {self.kept.data_dir} cannot be written ({error.strerror}): "
                "check its disk and its owner."
            ) from None
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    stop.wait(_POLL_S)
            yield
        finally:
            os.close(lock)
