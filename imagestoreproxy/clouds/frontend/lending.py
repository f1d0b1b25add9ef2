"""The administrator's credentials as the front end's own programs give them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from imagestoreproxy.clouds.credentials import Credentials, is_file
from imagestoreproxy.clouds.frontend import clcadmin, eucaconf
from imagestoreproxy.clouds.frontend.kept import Kept
from imagestoreproxy.clouds.frontend.pace import HURRIED_S, Pace
from imagestoreproxy.model.errors import CloudError, SettingsError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import Programs

# How soon euca_conf may be called again when the cloud does not take what it gave; and when that
# could not be kept.
REFUSED_S, UNKEPT_S = 600.0, 30.0
# How soon clcadmin may be asked again when the cloud does not take what it gave: its keys last for
# some hours, and asking changes nothing.
CLCADMIN_FIRST_S, CLCADMIN_LONGEST_S = 30.0, 600.0
_POLL_S = 0.2


class FrontEnd:
    """What was kept, else ``euca_conf``, else ``clcadmin-assume-system-credentials``.

    Args:
        prefix: where Eucalyptus is installed.
        may_fetch: ``euca_conf`` may be called, and the data directory written.
        now_s: Unix seconds.

    Attributes:
        is_new: what was found has just been fetched.
    """

    def __init__(
        self,
        prefix: Path,
        data_dir: Path,
        programs: Programs,
        *,
        may_fetch: bool = True,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.is_new = False
        self._prefix = prefix
        self._programs = programs
        self._may_fetch = may_fetch
        self.kept = Kept(data_dir, may_write=may_fetch, now_s=now_s)
        self._pace = Pace(CLCADMIN_LONGEST_S, now_s)
        self._why = ""
        self._is_assumed = False

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
                return self._fetched(stop, anew=anew)
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

    def wait_s(self) -> float:
        """Tell how long what was found last is not to be fetched again, whatever it is worth."""
        if self._is_assumed:
            return self._pace.wait_s(CLCADMIN_FIRST_S)
        return self.kept.wait_s(REFUSED_S)

    def hurry(self) -> None:
        """Somebody says that things have changed: it may be fetched again soon, once."""
        self._pace.hurry()
        self.kept.hurry()

    def watched(self) -> list[Path]:
        """Name what tells, by its times and sizes, whether anything has changed."""
        programs = [self._prefix / name for name in (eucaconf.NAME, clcadmin.NAME)]
        return [self.kept.path / "eucarc", *programs]

    def lacks(self) -> str:
        """Say what was looked for in vain."""
        programs = " nor ".join(str(self._prefix / name) for name in (eucaconf.NAME, clcadmin.NAME))
        return f"neither {programs} is there"

    def _is_program(self, name: str) -> bool:
        return is_file(self._prefix / name)

    def _kept(self) -> Credentials:
        self._is_assumed = False
        found = self.kept.read()
        origin = f"{self.kept.path} (from {self._prefix / eucaconf.NAME})"
        return replace(found, origin=origin, is_fetched=True)

    def _fetched(self, stop: Stop, *, anew: bool) -> Credentials:
        before = self.kept.state()
        with self._alone(stop):
            # Another process may have fetched them while this one waited.
            if self.kept.state() == before:
                self._fetch(stop, anew=anew)
            self.is_new = True
            return self._kept()

    def _fetch(self, stop: Stop, *, anew: bool) -> None:
        program = self._prefix / eucaconf.NAME
        if not anew and (wait_s := self.kept.wait_s(UNKEPT_S)) > 0:
            why = self._why or f"What {program} gave when it was called could not be kept."
            raise CloudError(
                f"{why} Each call changes something in the cloud: the next one is in "
                f"{wait_s:.0f} seconds. Once the proxy is reloaded (SIGHUP), {HURRIED_S:.0f} "
                "seconds after the last one are enough."
            )
        try:
            with self.kept.asking(), self.kept.renewed() as new:
                eucaconf.fetch(self._prefix, self.kept.data_dir, new, self._programs, stop)
        except CloudError as error:
            self._why = error.message
            raise

    def _assumed(self, stop: Stop) -> Credentials:
        self._pace.asked()
        found = clcadmin.assume(self._prefix, self.kept.data_dir, self._programs, stop)
        key, certificate = self.kept.signing_pair()
        self._is_assumed = self.is_new = True
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
