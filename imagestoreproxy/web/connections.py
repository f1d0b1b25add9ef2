"""Who is connected, and who gives way when there is no room."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Protocol


class Connection(Protocol):
    """An open connection; told apart by identity."""

    def give_way(self) -> None:
        """End at once."""


class Connections:
    """Counts connections, in all and of each client address.

    A connection on which a signed request is being answered stays. Any other gives way to a new one
    when there is no room, the one that has waited longest first: so neither the connections that
    the real client leaves open, nor those of somebody who sends nothing, keep anybody out.

    Args:
        most: open at a time.
        most_of_one: of one client address; room for others is kept.
    """

    def __init__(self, *, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._address_of: dict[Connection, str] = {}
        self._counts: Counter[str] = Counter()
        self._waiting: dict[Connection, None] = {}
        self._waiting_of: dict[str, dict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._address_of)

    def make_room(self, address: str) -> bool:
        """Make room for one more of this address; False when all that could give way are busy."""
        if self._counts[address] >= self._most_of_one:
            return self._end_first(self._waiting_of.get(address, {}))
        if len(self) >= self._most:
            return self._end_first(self._waiting)
        return True

    def opened(self, connection: Connection, address: str) -> None:
        """Count a new one; it waits for its first request."""
        self._address_of[connection] = address
        self._counts[address] += 1
        self.waits(connection)

    def closed(self, connection: Connection) -> None:
        """Count it no more."""
        self.is_busy(connection)
        address = self._address_of.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def is_busy(self, connection: Connection) -> None:
        """Note that a signed request is being answered on it."""
        self._waiting.pop(connection, None)
        address = self._address_of.get(connection, "")
        same = self._waiting_of.get(address, {})
        same.pop(connection, None)
        if not same:
            self._waiting_of.pop(address, None)

    def waits(self, connection: Connection) -> None:
        """Note that it waits for its next request."""
        address = self._address_of.get(connection)
        if address is not None:
            self._waiting[connection] = None
            self._waiting_of.setdefault(address, {})[connection] = None

    def _end_first(self, waiting: dict[Connection, None]) -> bool:
        longest = next(iter(waiting), None)
        if longest is None:
            return False
        self.closed(longest)
        longest.give_way()
        return True


def client_of(address: object) -> str:
    """Name whose connection it is: an IPv4 address, an IPv6 network of 64 bits, or empty.

    Args:
        address: Twisted's, of the other side.

    Unix sockets have no address: all of them count as one.
    """
    host = str(getattr(address, "host", "") or "")
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
