"""A cloud behind stand-ins for euca2ools of one generation, or behind real ones."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.euca2ools.cloud import Euca2oolsCloud
from imagestoreproxy.clouds.euca2ools.ground import Ground
from imagestoreproxy.clouds.euca2ools.tools import Patience, Tools, find_tools
from imagestoreproxy.outside.process import Processes
from tests.functional.ec2_ground import impatient, is_s3
from tests.functional.inline_background import Flag, InlineBackground
from tests.functional.interceptor import Answer, Request
from tests.standins.install import EUCA2OOLS, install_standins

# Where real tools are, to be tested alike.
REAL = os.environ.get("EUCA2OOLS_PATH", "")
GENERATIONS = (*EUCA2OOLS, *(["real"] if REAL else []))
QUICK = Patience(ask_s=20, silence_s=20, stall_s=20, look_s=0.1, again_s=0.1, leave_s=20)


class Places:
    """Makes moto tell from where an image was registered, as clouds do: ``Interceptor.rewrite``.

    Tools of 1.2 can tell an image no name: without its place it could not be found again.
    """

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def __call__(self, request: Request, body: bytes) -> bytes:
        asked = parse_qs(urlsplit(request.path).query)
        if request.method == "POST" and not is_s3(request):
            asked |= parse_qs(request.body().decode())
        action = asked.get("Action", [""])[0]
        if action == "RegisterImage":
            for image_id in _ID.findall(body):
                self._places[image_id.decode()] = asked["ImageLocation"][0]
        if action != "DescribeImages":
            return body

        def placed(found: re.Match[bytes]) -> bytes:
            place = self._places.get(found[1].decode())
            told = f"<imageLocation>{place}</imageLocation>" if place else ""
            return found[0] + told.encode()

        return _ID.sub(placed, body)


def heard_as_ec2(request: Request) -> Answer | None:
    """Let moto know what it is asked for: ``Interceptor.rule``.

    It tells services apart by the region and the service in a signature, which those of version 2
    do not name; and real tools of 3.4 name a region of their own.
    """
    if request.path.startswith("/services/Eucalyptus"):
        request.headers["authorization"] = (
            "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/ec2/aws4_request, "
            "SignedHeaders=host, Signature=00"
        )
    return None


_ID = re.compile(rb"<imageId>([^<]+)</imageId>")


@cache
def found_tools(generation: str) -> Tools:
    """Give what was found of a generation; looked for only once, where nothing is wrong."""
    if generation == "real":
        return find_tools(Processes(), REAL, Flag(), QUICK)
    with TemporaryDirectory() as directory:
        install_standins(Path(directory), generation)
        return find_tools(Processes(), directory, Flag(), QUICK)


@dataclass
class Euca2ools:
    """A cloud, and what it works with.

    Attributes:
        directory: of the tools; see ``tests.standins.install`` for what can be done there.
        ground: where it works.
    """

    cloud: Euca2oolsCloud
    background: InlineBackground
    directory: Path
    ground: Path

    def left(self) -> list[str]:
        """Name what it has left lying about."""
        return sorted(str(path.relative_to(self.ground)) for path in self.ground.rglob("*"))


def euca2ools(
    tmp_path: Path,
    generation: str,
    credentials: Credentials,
    *,
    patience: Patience = QUICK,
    traps: dict[str, Any] | None = None,
    tools_path: Path | None = None,
    **options: Any,
) -> Euca2ools:
    """Install stand-ins and give a cloud that works with them.

    Args:
        generation: one of ``GENERATIONS``.
        traps: what the stand-ins do wrong.
        tools_path: where they are installed, or have been before.
    """
    background = InlineBackground()
    directory, found = Path(REAL), found_tools(generation)
    if generation != "real":
        directory = install_standins(tools_path or tmp_path / "tools", generation, **(traps or {}))
    path = found.path.replace(found.directory, str(directory), 1)
    tools = replace(found, directory=str(directory), path=path, patience=patience)
    ground = tmp_path / "data" / "euca2ools"
    ground.parent.mkdir(mode=0o700, exist_ok=True)
    options.setdefault("patience", impatient())
    cloud = Euca2oolsCloud(background, credentials, tools, Ground(ground), **options)
    return Euca2ools(cloud, background, directory, ground)
