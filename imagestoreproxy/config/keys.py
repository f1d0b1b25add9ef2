"""Every key of the configuration file, once: what it may hold, and what it means.

The file is read by this table, and the reference, the manual page and the example are made from it
(``tools/make_config.py``). Texts are sentences without their full stop; `` ` `` marks what is
written as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from imagestoreproxy.config.kinds import (
    Certificates,
    Choice,
    Fingerprints,
    Flag,
    HttpProxy,
    Kind,
    Name,
    Number,
    Place,
    Readable,
    Text,
    Texts,
    Url,
    Urls,
    Window,
)
from imagestoreproxy.config.options import CONNECTIONS
from imagestoreproxy.config.tables import Table
from imagestoreproxy.model.carrying import SIMPLESTREAMS, STORE

CARRIED = "carried"
KINDS = (STORE, SIMPLESTREAMS, CARRIED)
STALE_AFTER_DAYS = 60
REFRESH_MINUTES = {STORE: 10, SIMPLESTREAMS: 60, CARRIED: 60}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(Generic[T]):
    """One key of a table.

    Args:
        kind: how its value is read.
        what: what it means.
        without: what holds where it is not given; empty: nothing.
        required: without it the file is refused.
        only: the types of source that may have it.
    """

    name: str
    kind: Kind[T]
    what: str
    without: str = ""
    required: bool = False
    only: tuple[str, ...] = KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A table as somebody may write it.

    Args:
        what: what it is for.
        values: TOML, by key.
    """

    what: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table of the file.

    Args:
        most: how often it may stand there, as ``[[name]]``; 0: once, as ``[name]``.
    """

    name: str
    what: str
    keys: tuple[Key[Any], ...]
    most: int = 0
    examples: tuple[Example, ...] = field(default=())

    @property
    def header(self) -> str:
        """Give the line that begins it."""
        return f"[[{self.name}]]" if self.most else f"[{self.name}]"

    @property
    def names(self) -> frozenset[str]:
        """Name its keys."""
        return frozenset(key.name for key in self.keys)

    def names_for(self, kind: str) -> frozenset[str]:
        """Name the keys that a source of this type may have."""
        return frozenset(key.name for key in self.keys if kind in key.only)


class Values:
    """The values of one table, read key by key."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def get(self, key: Key[T]) -> T:
        """Give the value of ``key``; what is wrong is noted in the table."""
        if key.required and key.name not in self.table.given:
            self.table.missing(key.name)
        return key.kind.read(self.table, key.name)


_STREAMS = (SIMPLESTREAMS,)

NAME = Key(
    name="name",
    kind=Name(40),
    what="what the source is called. No two are the same, and none is `carried`. The serials that"
    " were seen are remembered by it: keep it when the address changes",
    required=True,
)
TYPE = Key(name="type", kind=Choice(KINDS), what="what speaks there", required=True)
URL = Key(
    name="url",
    kind=Url(),
    what="where it is. No two sources have the same. A `carried` one has this or `path`",
)
PATH = Key(name="path", kind=Place(), what="a directory, instead of `url`", only=(CARRIED,))
TITLE = Key(
    name="title",
    kind=Text(100),
    what="what stands over its images, where there are several sources",
    without="its name or its host",
)
MIRRORS = Key(
    name="mirrors",
    kind=Urls(20),
    what="addresses with the same content, which are asked where the first cannot be",
    only=_STREAMS,
)
KEYRING = Key(
    name="keyring",
    kind=Readable(),
    what="the public keys that may sign. Of a `carried` one: for images of no other source here",
    without="for a `store` that of `--keyring`, else Ubuntu's",
)
FINGERPRINTS = Key(
    name="fingerprints",
    kind=Fingerprints(100),
    what="those of the keyring's keys that are believed",
    without="all of them; of Ubuntu's keyring its two",
)
UNSIGNED = Key(
    name="unsigned",
    kind=Flag(),
    what="`true`: nothing is signed there, and every image says so",
    without="`false`",
    only=_STREAMS,
)
RELEASES = Key(
    name="releases",
    kind=Texts(100),
    what='the only releases that are shown: names, numbers, or `"lts"`',
    without="all",
    only=_STREAMS,
)
ARCHITECTURES = Key(
    name="architectures",
    kind=Texts(100),
    what="the only architectures that are shown",
    without="all",
    only=_STREAMS,
)
STREAMS = Key(
    name="streams",
    kind=Texts(100),
    what='the only streams that are shown, like `"released"` or `"daily"`',
    without="all",
    only=_STREAMS,
)
REFRESH = Key(
    name="refresh-minutes",
    kind=Number(1, 10_080),
    what="how often it is asked",
    without=f"for a `store` {REFRESH_MINUTES[STORE]}, else {REFRESH_MINUTES[SIMPLESTREAMS]}",
)
HTTP_PROXY = Key(
    name="http-proxy",
    kind=HttpProxy(),
    what="the HTTP proxy of this source alone. Hosts in `no_proxy` are reached without any",
    without="that of `--http-proxy`, else that of the environment",
)
CA_BUNDLE = Key(
    name="ca-bundle",
    kind=Certificates(),
    what="the certificate authorities that are believed for this source alone",
    without="those of `--ca-bundle`, else those of the system",
)
STALE_AFTER = Key(
    name="stale-after-days",
    kind=Number(0, 36_500),
    what="a source without news for so many days says so; 0: never",
    without=f"{STALE_AFTER_DAYS}",
    only=_STREAMS,
)

LIMIT = Key(
    name="limit-mb-per-s",
    kind=Number(0, 100_000),
    what="of all downloads together, in millions of bytes a second; 0: none. `--max-bandwidth`"
    " stands above it",
    without="none",
)
CONNECTIONS_EACH = Key(
    name="connections",
    kind=Number(1, 16, whole=True),
    what="how many at a time for one large file, from the next start on. `--connections` stands"
    " above it",
    without=f"{CONNECTIONS}",
)
WINDOW = Key(
    name="window",
    kind=Window(),
    what="when images that are followed may be brought up to date, in local time",
    without="at any time",
)

SOURCE = Section(
    name="source",
    what="one for each place where images come from; without any, and without `--api-url`, there"
    " is one: the images that Ubuntu releases",
    most=64,
    keys=(
        *(NAME, TYPE, URL, PATH, TITLE, MIRRORS, KEYRING, FINGERPRINTS, UNSIGNED, RELEASES),
        *(ARCHITECTURES, STREAMS, REFRESH, HTTP_PROXY, CA_BUNDLE, STALE_AFTER),
    ),
    examples=(
        Example(
            what="Ubuntu's images, but only those with long support, and for one architecture",
            values={
                "name": '"ubuntu"',
                "type": '"simplestreams"',
                "url": '"https://cloud-images.ubuntu.com/releases/"',
                "title": '"Ubuntu"',
                "releases": '["lts"]',
                "architectures": '["amd64"]',
                "refresh-minutes": "60",
            },
        ),
        Example(
            what="a mirror with keys, an HTTP proxy and certificates of its own",
            values={
                "name": '"mirror"',
                "type": '"simplestreams"',
                "url": '"https://mirror.example/cloud-images/daily/"',
                "mirrors": '["https://other.example/cloud-images/daily/"]',
                "keyring": '"/etc/image-store-proxy/keys.gpg"',
                "fingerprints": '["D2EB 4462 6FDD C30B 513D  5BB7 1A5D 6C4C 7DB8 7C81"]',
                "streams": '["daily"]',
                "http-proxy": '"http://squid.example:3128"',
                "ca-bundle": '"/etc/image-store-proxy/ca.pem"',
                "stale-after-days": "30",
            },
        ),
        Example(
            what="a mirror in the local network that signs nothing",
            values={
                "name": '"inside"',
                "type": '"simplestreams"',
                "url": '"http://images.example/"',
                "unsigned": "true",
            },
        ),
        Example(
            what="an Image Store API, like `--api-url`",
            values={"name": '"site"', "type": '"store"', "url": '"http://store.example/api"'},
        ),
        Example(
            what="what was carried here on a disk",
            values={"name": '"usb"', "type": '"carried"', "path": '"/media/images"'},
        ),
    ),
)
BANDWIDTH = Section(
    name="bandwidth",
    what="how much of the line downloads may take",
    keys=(LIMIT,),
    examples=(Example(what="", values={"limit-mb-per-s": "20"}),),
)
DOWNLOADS = Section(
    name="downloads",
    what="how files are fetched",
    keys=(CONNECTIONS_EACH,),
    examples=(Example(what="", values={"connections": "4"}),),
)
UPDATES = Section(
    name="updates",
    what="images that keep themselves up to date",
    keys=(WINDOW,),
    examples=(Example(what="", values={"window": '"02:00-05:00"'}),),
)
SECTIONS = (SOURCE, BANDWIDTH, DOWNLOADS, UPDATES)
