"""Which HTTP proxy a URL goes through: libcurl's rules, decided here and handed to libcurl.

Decided here because the check of addresses depends on it: a connection to the configured HTTP proxy
may be local, one to a store may not. Rules: libcurl, ``CURLOPT_PROXY`` and ``CURLOPT_NOPROXY``.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.masking import masked

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """The HTTP proxies of a process; empty texts mean none.

    Args:
        http, https: the proxy for URLs of this scheme, as a URL.
        excepted: hosts, domains and networks that are reached directly.
    """

    http: str = ""
    https: str = ""
    excepted: tuple[str, ...] = ()

    def proxy_for(self, url: str) -> str:
        """Give the proxy's URL, with its password if it has one, or empty."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme.lower() == "https" else self.http
        host = (parts.hostname or "").rstrip(".")
        return "" if any(_covers(one, host) for one in self.excepted) else proxy


def proxy_rules(environment: Mapping[str, str], configured: str = "") -> ProxyRules:
    """Read the rules from the environment; ``configured`` stands above its proxies.

    Raises:
        SettingsError: a proxy's URL cannot be one.
    """

    def setting(*names: str) -> str:
        return next((environment[name] for name in names if environment.get(name)), "").strip()

    # HTTP_PROXY in capitals is not read: in a CGI program it is the caller's "Proxy:" header.
    everything = ("all_proxy", "ALL_PROXY")
    return ProxyRules(
        http=_proxy_url(configured or setting("http_proxy", *everything)),
        https=_proxy_url(configured or setting("https_proxy", "HTTPS_PROXY", *everything)),
        excepted=tuple(setting("no_proxy", "NO_PROXY").lower().replace(",", " ").split()),
    )


def _proxy_url(text: str) -> str:
    if not text:
        return ""
    url = text if "://" in text else f"http://{text}"
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
        if parts.scheme.lower() in _SCHEMES and parts.hostname:
            return url
    raise SettingsError(
        f"{masked(text)} is no HTTP proxy; write it as http://HOST:PORT, or leave it out."
    )


def _covers(exception: str, host: str) -> bool:
    """Tell whether one entry of ``no_proxy`` covers a host."""
    if exception == "*":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        domain = exception.strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    with contextlib.suppress(ValueError):
        return address in ipaddress.ip_network(exception.strip("[]"), strict=False)
    return False
