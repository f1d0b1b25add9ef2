"""Other programs, as those see them who need one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagestoreproxy import ports

OUTPUT_BYTES = 1 << 20


class ProgramMissingError(Exception):
    """The program is not installed."""


class ProgramStuckError(Exception):
    """The program was ended: for longer than allowed it said nothing, or only too much."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program left: exit status (negative: ended by that signal) and what it said."""

    status: int
    output: bytes
    errors: str


def unheard(_line: str) -> None:
    """Take a line that nobody wants."""


class Programs(Protocol):
    """Runs programs; each in a process group of its own, of which nothing is left afterwards."""

    def find(self, name: str, path: str = "") -> Path | None:
        """Give where a program is, or None.

        Args:
            path: directories to look in, with colons between them; empty: those of the system.
        """

    def run(
        self,
        arguments: Sequence[str],
        stop: ports.Stop,
        *,
        silence_s: float,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        said: Callable[[str], None] = unheard,
        limit_bytes: int = OUTPUT_BYTES,
    ) -> Finished:
        """Run a program to its end. Blocks: to be called in a worker thread.

        Args:
            arguments: the program's name or path, and its arguments; they can be read by everybody
                on the machine.
            silence_s: how long it may say nothing on either stream.
            environment: all that it has beside ``LC_ALL`` and a fixed ``PATH``.
            directory: where it works; None: where the daemon does.
            said: told each whole line of either stream as it comes, without its end.
            limit_bytes: how much of each stream is kept, and told; what comes after it is no more
                than silence.

        Raises:
            ProgramMissingError: it is not installed.
            ProgramStuckError: it said nothing for ``silence_s`` and was ended.
            Cancelled: ``stop`` was set; it was ended, with its children.
        """
