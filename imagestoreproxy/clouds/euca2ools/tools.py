"""The tools that are installed: found, asked who they are, and run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from imagestoreproxy.clouds.clouderrors import Endpoint
from imagestoreproxy.clouds.euca2ools.complaints import complaint
from imagestoreproxy.clouds.euca2ools.generations import (
    HELPFUL,
    NEEDED,
    VERSION,
    Generation,
    built_generation,
    helped_generation,
    shown_version,
    told_generation,
)
from imagestoreproxy.clouds.euca2ools.home import SECRETS, SYSTEM_EUCARC, Home
from imagestoreproxy.model.errors import Cancelled, CloudError, InstallError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import (
    OUTPUT_BYTES,
    Finished,
    ProgramMissingError,
    Programs,
    ProgramStuckError,
    unheard,
)
from imagestoreproxy.stops import Until

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOBODYS_HOME = "/nonexistent"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the tools are waited for.

    Args:
        ask_s, asked_s: for who they are: for a word of each, and for all of them.
        silence_s: for a word of one that asks the cloud for something; 1.3 to 2.1 try a cloud that
            is away for more than a minute before they say so.
        stall_s: for any sign that a bundle or an upload gets on.
        look_s: how often one looks for such a sign.
        again_s: before an upload that has failed is tried once more.
        leave_s: for a registration under way when it is cancelled: ended, nobody would know
            whether the cloud has heard it.
    """

    ask_s: float = 20.0
    asked_s: float = 40.0
    silence_s: float = 150.0
    stall_s: float = 600.0
    look_s: float = 2.0
    again_s: float = 2.0
    leave_s: float = 140.0


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools of one generation.

    Args:
        directory: where they are looked for first; may be empty.
        path: where they are looked for, and what they themselves need.
        version: for people.
        system_eucarc: see ``home``.
    """

    programs: Programs
    directory: str
    path: str
    generation: Generation
    version: str
    patience: Patience = field(default_factory=Patience)
    system_eucarc: Path = SYSTEM_EUCARC

    def check(self) -> None:
        """Make sure that they are there still.

        Raises:
            CloudError: one is not.
        """
        for tool in NEEDED:
            if self.programs.find(tool, self.path) is None:
                raise self._gone(tool)

    def run(
        self,
        arguments: list[str],
        home: Home,
        stop: Stop,
        *,
        silence_s: float = 0.0,
        said: Callable[[str], None] = unheard,
        limit_bytes: int = OUTPUT_BYTES,
    ) -> Finished:
        """Run one to its end; it may have failed.

        Args:
            silence_s: instead of that of ``patience``.
            limit_bytes: see ``Programs``.

        Raises:
            CloudError: it is not there any more, cannot be started, or was silent for too long.
        """
        tool = arguments[0]
        silence_s = silence_s or self.patience.silence_s
        try:
            finished = self.programs.run(
                [_found(self.programs, tool, self.path), *home.more, *arguments[1:]],
                stop,
                silence_s=silence_s,
                environment=home.environment,
                directory=home.path,
                said=said,
                limit_bytes=limit_bytes,
            )
        except ProgramMissingError:
            raise self._gone(tool) from None
        except ProgramStuckError:
            raise stalled(tool, silence_s) from None
        except OSError as error:
            cause = error.strerror or str(error)
            raise CloudError(f"{tool} cannot be started: {cause}; try again.") from error
        return without_secrets(finished, home.environment)

    def _gone(self, tool: str) -> CloudError:
        return CloudError(
            f"{tool} is no longer installed in {self.directory or self.path}: install euca2ools "
            "again, or give --cloud=ec2.",
            retry_helps=False,
        )

    def failed(
        self, tool: str, finished: Finished, endpoint: Endpoint | None, what: str
    ) -> InstallError:
        """Give the error for one that has not ended well; see ``complaint``."""
        said = f"{told(finished)}\n{finished.errors}"
        return complaint(tool, said, finished.status, endpoint, what, time.time())


def without_secrets(finished: Finished, environment: Mapping[str, str]) -> Finished:
    """Give what one has said, also where it prints its environment: errors quote it."""
    output, errors = finished.output, finished.errors
    for name in SECRETS:
        if secret := environment.get(name):
            output = output.replace(secret.encode("utf-8", "surrogateescape"), b"***")
            errors = errors.replace(secret, "***")
    return replace(finished, output=output, errors=errors)


def told(finished: Finished) -> str:
    """Give what one has said, as text."""
    return finished.output.decode("utf-8", "replace")


def stalled(tool: str, seconds: float) -> CloudError:
    """Give the error for one that was ended because it got nowhere."""
    return CloudError(
        f"{tool} got nowhere for {seconds:.0f} s and was ended: check the cloud's services and the "
        "network between, then try again."
    )


def find_tools(
    programs: Programs, directory: str, stop: Stop, patience: Patience | None = None
) -> Tools:
    """Look for the tools, and ask them who they are. Blocks.

    Args:
        directory: where they are; empty: where programs of the system are.

    Raises:
        CloudError: they are not there, not all of them, or do not answer like euca2ools.
    """
    patience = patience or Patience()
    directory = str(Path(directory).expanduser().absolute()) if directory else ""
    path = f"{directory}:{SYSTEM_PATH}" if directory else SYSTEM_PATH
    where = directory or path
    lacking = [tool for tool in NEEDED if programs.find(tool, path) is None]
    if lacking:
        raise CloudError(
            f"{lacking[0]} is not installed in {where}: install the package euca2ools, name its "
            "directory with --euca2ools, or give --cloud=ec2.",
            retry_helps=False,
        )

    until = Until(stop, patience.asked_s)

    def answer(*arguments: str) -> str:
        try:
            finished = programs.run(
                [_found(programs, arguments[0], path), *arguments[1:]],
                until,
                silence_s=patience.ask_s,
                environment={"PATH": path, "HOME": NOBODYS_HOME, "LC_ALL": "C"},
                directory=Path("/"),
            )
        except (ProgramMissingError, ProgramStuckError, OSError):
            return ""
        except Cancelled:
            if until.is_over:
                return ""
            raise
        return f"{told(finished)}\n{finished.errors}"

    said = answer(VERSION)
    # Asked in any case: what is only half installed may know its version, and nothing else.
    helps = {tool: answer(tool, "--help") for tool in HELPFUL}
    generation = told_generation(said) or helped_generation(helps) or built_generation(said)
    broken = [help for help in helps.values() if not help.strip() or "Traceback" in help]
    if generation is None or broken:
        words = " ".join((broken[0] if broken else said).split())[-160:] or "nothing"
        raise CloudError(
            f"euca2ools in {where} do not work: they do not say which version they are and how "
            f"they are used, but “{words}”; install them again, or give --cloud=ec2.",
            retry_helps=False,
        )
    return Tools(programs, directory, path, generation, shown_version(said, generation), patience)


def _found(programs: Programs, tool: str, path: str) -> str:
    return str(programs.find(tool, path) or tool)


class Shielded:
    """A ``Stop`` that lets what is under way end, for a while, when the work is to end.

    Args:
        leave_s: how long.
    """

    def __init__(self, stop: Stop, leave_s: float) -> None:
        self._stop = stop
        self._leave_s = leave_s
        self._asked_at_s: float | None = None

    def check(self) -> None:
        """Raise ``Cancelled`` when the work is to end, and that time is over."""
        try:
            self._stop.check()
        except Cancelled:
            now_s = time.monotonic()
            self._asked_at_s = self._asked_at_s or now_s
            if now_s - self._asked_at_s > self._leave_s:
                raise

    def wait(self, seconds: float) -> None:
        """Sleep a moment."""
        time.sleep(min(seconds, 0.1))
        self.check()
