"""What started the daemon is told how it is: ``sd_notify(3)``, without its library.

systemd listens where a unit has ``Type=notify``, and start-stop-daemon with ``--notify-await``.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

# Of the time after which the manager takes the daemon for hung: one message may come late.
WATCHDOG_TURNS = 3
Send = Callable[[bytes], None]


class ServiceManager:
    """Who started the daemon; nobody who listens is told nothing.

    Args:
        environ: ``NOTIFY_SOCKET``; and ``WATCHDOG_USEC``, and ``WATCHDOG_PID`` if that is for one
            process only.
        reactor: feeds the watchdog, so that a daemon whose reactor hangs is started anew.
        pid: of this process.
        way: gives what sends to a socket's address.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        reactor: Any,
        *,
        pid: int,
        way: Callable[[str], Send] | None = None,
    ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._send: Send | None = (way or datagrams)(address) if address else None
        self._reactor = reactor
        self._watchdog_s = _watchdog_s(environ, pid)
        self._feeding: Any = None
        self._is_stopping = False

    def ready(self, status: str) -> None:
        """Say that the daemon answers, at its start or after a reload; and what it does now."""
        if not self._is_stopping:
            self._say("READY=1", f"STATUS={status}")
            if self._feeding is None and self._send and self._watchdog_s:
                self._feed()

    def reloading(self) -> None:
        """Say that the configuration is read again; ``ready`` follows."""
        if not self._is_stopping:
            self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that this is the end; nothing else is said after it."""
        self._say("STOPPING=1", "STATUS=Stopping.")
        self._is_stopping = True
        if self._feeding is not None and self._feeding.active():
            self._feeding.cancel()

    def _feed(self) -> None:
        self._say("WATCHDOG=1")
        self._feeding = self._reactor.callLater(self._watchdog_s / WATCHDOG_TURNS, self._feed)

    def _say(self, *lines: str) -> None:
        if self._send:
            # One that does not listen any more is no reason to stop working.
            with contextlib.suppress(OSError):
                self._send("\n".join(lines).encode())


def datagrams(address: str) -> Send:
    """Give what sends one datagram at a time to a Unix socket, without waiting.

    Args:
        address: a path, or ``@`` and a name in Linux' abstract name space.
    """
    where = f"\0{address[1:]}" if address.startswith("@") else address

    def send(message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
            way.setblocking(False)
            way.sendto(message, where)

    return send


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float:
    """Give after what silence the daemon counts as hung; 0: never."""
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0
    return int(text[:15]) / 1e6
