"""Where the daemon listens, and how many may come at a time."""

from __future__ import annotations

import resource
import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet import endpoints
from twisted.web.server import Site

from imagestoreproxy.model.errors import SettingsError

OPEN_FILES = 4096
# All pages that listen come back at once after a restart; Twisted lets 50 wait.
BACKLOG = 128


async def listen(reactor: Any, description: str, site: Site) -> Any:
    """Open a door, and give the port.

    Args:
        description: a Twisted endpoint, as ``--listen`` takes it.

    Raises:
        SettingsError: that is none, or it cannot be opened.
    """
    try:
        endpoint: Any = endpoints.serverFromString(reactor, roomy(description))  # type: ignore[no-untyped-call]
        return await endpoint.listen(site)
    except Exception as error:
        # Endpoint plugins raise what they like; all of it means that this option is wrong.
        text = str(error).rstrip(".")
        raise SettingsError(f"Cannot listen on '{description}': {text}.") from error


def handed_over() -> Sequence[str]:
    """Give the endpoints of sockets that the service manager opened for this process."""
    # Twisted takes them out of the environment when it is imported, and lets only "systemd:" see.
    found = endpoints._SystemdParser._sddaemon.inheritedDescriptors()
    return [f"systemd:domain={_family(one)}:index={at}" for at, one in enumerate(found)]


def door_name(port: Any) -> str:
    """Give the address at which a port listens, for people."""
    address = port.getHost()
    if not hasattr(address, "port"):
        return str(getattr(address, "name", address))
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def _family(number: int) -> str:
    with socket.socket(fileno=number) as door:
        family = door.family
        door.detach()
    return family.name.removeprefix("AF_")


def roomy(description: str) -> str:
    """Let more connections wait to be accepted, unless the endpoint says how many."""
    has_backlog = description.startswith(("tcp:", "tcp6:", "ssl:", "unix:"))
    if not has_backlog or ":backlog=" in description:
        return description
    return f"{description}:backlog={BACKLOG}"


def allow_open_files() -> None:
    """Make room for a thousand pages that listen: what is usual is 1024 files for all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def open_files() -> int:
    """Give how many files the process may have open."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**20 if soft == resource.RLIM_INFINITY else soft
