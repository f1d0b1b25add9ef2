"""A browser that logs in, for tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from imagestoreproxy.model.signing import Pair
from tests.unit.memory_store import MemorySite, Reply

HOST = "localhost:52780"
COOKIE = "image-store-52780"


@dataclass
class Browser:
    """Keeps the cookie and the token of a session, and sends them as browsers and the page do.

    Attributes:
        headers: sent with each request; an empty one is not.
    """

    site: MemorySite
    cookie: str = ""
    csrf_token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def log_in(self, **fields: object) -> Reply:
        reply = self.site.post("/api/session", **fields)
        if reply.status == 200:
            self.keep(reply)
            self.csrf_token = reply.json["session"]["csrf-token"]
        return reply

    def keep(self, reply: Reply) -> None:
        self.cookie = reply.headers["set-cookie"].partition(";")[0]

    def get(self, path: str, **headers: str) -> Reply:
        return self.site.ask(self.raw("GET", path, headers))

    def post(self, path: str, pairs: Sequence[Pair] = (), **headers: str) -> Reply:
        return self.site.ask(self.raw("POST", path, headers, pairs))

    def raw(
        self, method: str, path: str, headers: Mapping[str, str], pairs: Sequence[Pair] = ()
    ) -> bytes:
        """Make a request; ``_`` in the name of a header stands for ``-``."""
        complete = {"Host": HOST, "Cookie": self.cookie, **self.headers}
        body = ""
        if method == "POST":
            body = urlencode(pairs)
            complete |= {
                "X-CSRF-Token": self.csrf_token,
                "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
                "Content-Length": str(len(body)),
            }
        complete |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in complete.items() if value]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", body]).encode()


def attributes(reply: Reply) -> set[str]:
    """Give what the browser is told about a cookie, beside its value."""
    return set(re.split("; ", reply.headers["set-cookie"])[1:])
