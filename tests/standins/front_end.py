"""A cloud's front end under a prefix: its programs, and the cloud's own key beside them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.standins.frontend.program import USER_KEYS, VERSIONS, fresh_state
from tests.standins.install import copy_compiled
from tests.standins.pairs import ADMIN, CLOUD, write_key, write_pair

ACCOUNT = "000123456789"
FRONT_ENDS = (*VERSIONS, "5.1")
_PROGRAM = Path(__file__).with_name("frontend")
_LAUNCHER = """\
#!{python} -IS
import os
import sys

prefix = os.path.realpath(__file__).rsplit("/", 3)[0]
sys.path.insert(0, f"{{prefix}}/var/lib/eucalyptus/standin")
from frontend.program import {function}

{function}(prefix, {version!r})
"""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What tests may look at.

    Args:
        prefix: give this to ``--eucalyptus``.
        cloud_private_key: opens bundles as the cloud does.
    """

    prefix: Path
    cloud_private_key: Path

    @property
    def _place(self) -> Path:
        return self.prefix / "var/lib/eucalyptus"

    @property
    def state(self) -> dict[str, Any]:
        """``keys`` (pairs), ``certificates`` (all that were issued), ``valid`` (those that the
        cloud still takes) and ``archives`` (how many were handed out)."""
        text = (self._place / "standin.json").read_text()
        found: dict[str, Any] = json.loads(text) if text else fresh_state()
        return found

    def calls(self) -> list[dict[str, Any]]:
        """What was run, in order: ``tool``, ``arguments``, ``environment`` (names), ``process``."""
        path = self._place / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def change(self, **settings: Any) -> None:
        """Change settings, see ``install_front_end``."""
        path = self._place / "settings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    def renew_keys(self, access_key: str, secret_key: str) -> None:
        """As after an administrator made a new key: the next archive holds it."""
        state = self.state
        state["keys"].append([access_key, secret_key])
        (self._place / "standin.json").write_text(json.dumps(state))


def install_front_end(
    prefix: Path,
    version: str,
    ec2_url: str,
    s3_url: str,
    *,
    python: str = sys.executable,
    **settings: Any,
) -> FrontEnd:
    """Make ``PREFIX/usr/sbin/euca_conf`` (up to 4.2) and, from 4.2 on,
    ``PREFIX/usr/sbin/clcadmin-assume-system-credentials``.

    Args:
        version: one of ``FRONT_ENDS``.
        settings: ``access_key`` and ``secret_key`` of the first archive, ``account``,
            ``clcadmin_base``; and what goes wrong: ``hang``, ``not_started``, ``empty`` (an empty
            archive, exit 1), ``fails_after`` (a whole archive, exit 1), ``no_object_store``,
            ``not_root``.
    """
    if version not in FRONT_ENDS:
        raise ValueError(f"no front end of Eucalyptus {version}: there are {FRONT_ENDS}")
    place = prefix / "var/lib/eucalyptus"
    keys = place / "keys"
    keys.mkdir(parents=True)
    copy_compiled(_PROGRAM, place / "standin/frontend")
    write_pair(keys / "cloud-pk.pem", keys / "cloud-cert.pem", "cloud", CLOUD)
    for number in range(USER_KEYS):
        path = keys / f"user-{number}-pk.pem"
        write_key(path, ADMIN + number)
        path.chmod(0o644)  # euca_conf may be run by others
    given = {"ec2_url": ec2_url, "s3_url": s3_url, "account": ACCOUNT} | settings
    for name, text in (
        ("settings.json", json.dumps(given)),
        ("standin.json", ""),
        ("calls.jsonl", ""),
    ):
        (place / name).write_text(text)
        (place / name).chmod(0o666)
    programs = {}
    if version in VERSIONS:
        programs["euca_conf"] = "euca_conf"
    if version >= "4.2":
        programs["clcadmin-assume-system-credentials"] = "assume_system_credentials"
    directory = prefix / "usr/sbin"
    directory.mkdir(parents=True)
    for name, function in programs.items():
        path = directory / name
        path.write_text(_LAUNCHER.format(python=python, function=function, version=version))
        path.chmod(0o755)
    return FrontEnd(prefix, keys / "cloud-pk.pem")
