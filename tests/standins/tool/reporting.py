"""How a generation says that it failed."""

from __future__ import annotations

import sys

from .generations import Family, Generation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class FailedError(Exception):
    """A sentence of the tool's own, and the exit status after it."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


class RefusedError(Exception):
    """The cloud answered with an error.

    Args:
        answer: reason and body, as boto prints them.
    """

    def __init__(self, status: int, code: str, message: str, answer: str = "") -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.message = status, code, message
        self.by_boto = f"S3ResponseError: {status} {answer or code}"


class UnreachableError(Exception):
    """No answer: refused connection, no route, no such host."""


def die(generation: Generation, tool: str, error: Exception) -> NoReturn:
    """Print what the generation prints, where it prints it, and exit as it exits."""
    new = generation.family is Family.REQUESTS
    if isinstance(error, RefusedError):
        text = f"{error.code}: {error.message}"
        if new:
            text = f"{tool}: error ({error.code}): {error.message}"
    else:
        text = str(error)
        if new:
            text = f"{tool}: error: {text}"
    where = sys.stderr if generation.errors_on_stderr else sys.stdout
    if text:
        print(text, file=where)
    sys.exit(error.status if isinstance(error, FailedError) else 1)
