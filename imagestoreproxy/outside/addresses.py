"""Which addresses are local: a source on the public net may not send the proxy there."""

from __future__ import annotations

import ipaddress
import socket

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAMES = ("localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_local(address: str) -> bool:
    """Tell whether an address is anything but a public one of a single machine.

    True for loopback, link-local, private, unspecified, multicast and reserved ones, also where
    IPv6 wraps them (mapped, 6to4, NAT64), and for what is no address at all.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = _wrapped(found)
        if wrapped is not None:
            return is_local(str(wrapped))
    return not found.is_global or found.is_multicast or found.is_reserved


def is_local_host(host: str) -> bool:
    """Tell whether the host part of a URL names something local, as far as can be said unasked.

    Literal addresses in every way of writing that the C library takes (``127.1``, ``0x7f000001``),
    and the names of this machine. Other names are judged when their addresses are known.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    literal = _literal(name)
    return literal is not None and is_local(literal)


def _literal(name: str) -> str | None:
    if ":" in name:
        return name
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return None


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
