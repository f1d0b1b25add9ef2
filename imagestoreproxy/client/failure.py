"""How a command fails, and what its exit status is then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagestoreproxy.model.errors import StoreProxyError

FAILED = 1
MISUSED = 2
UNREACHABLE = 3

# A proxy that is silent for longer cannot be reached.
TIMEOUT_S = 60.0


class ClientError(StoreProxyError):
    """A command that cannot be carried out.

    Args:
        message: empty when all has been said already.
        exit_status: ``FAILED``, ``MISUSED`` or ``UNREACHABLE``.
        hints: commands to type next.
        content: what JSON has beside the message.
    """

    def __init__(
        self,
        message: str,
        exit_status: int = FAILED,
        *,
        hints: Sequence[str] = (),
        content: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_status = exit_status
        self.hints = hints
        self.content = content or {}
