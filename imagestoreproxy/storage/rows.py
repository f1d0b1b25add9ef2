"""What the rows of installs, of the ledger and of installations say."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from imagestoreproxy.model.follows import Follow
from imagestoreproxy.model.images import FileKind, ImageInfo, Provider
from imagestoreproxy.model.installs import Bundle, Install, Installation, State

_KINDS = list(FileKind)


def upsert(db: sqlite3.Connection, table: str, row: dict[str, Any], key: tuple[str, ...]) -> None:
    """Insert a row, or replace the one with the same key.

    Table and column names are this folder's own, never anything from outside.
    """
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    updates = ", ".join(f"{name} = excluded.{name}" for name in row if name not in key)
    db.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}",
        row,
    )


def info_text(info: ImageInfo) -> str:
    """Write what a source says of an image, for a column."""
    return json.dumps(asdict(info))


def _info(text: str) -> ImageInfo:
    fields = json.loads(text)
    return ImageInfo(
        **{
            **fields,
            "tags": tuple(fields["tags"]),
            "releases": tuple(fields.get("releases", ())),
            "ports": tuple(fields.get("ports", ())),
            "provider": Provider(**fields["provider"]),
        }
    )


def install_of(row: sqlite3.Row) -> Install:
    """Read a row of ``installs``."""
    return Install(
        image_uri=row["image_uri"],
        source=row["source"],
        state=State(row["state"]),
        token=row["token"],
        info=_info(row["info"]),
        updated_at_s=row["updated_at_s"],
        document=row["document"],
        plan=row["plan"],
        progress_percent=row["progress_percent"],
        error=row["error"],
    )


def follow_of(row: sqlite3.Row) -> Follow:
    """Read a row of ``follows``."""
    return Follow(**{**dict(row), "even_if_used": bool(row["even_if_used"])})


def order(bundle: Bundle) -> int:
    """Give the place of a bundle: kernel, ramdisk, image."""
    return _KINDS.index(bundle.kind)


def bundle_of(row: sqlite3.Row) -> Bundle:
    """Read a row of ``bundles``."""
    return Bundle(
        image_uri=row["image_uri"],
        kind=FileKind(row["kind"]),
        bucket=row["bucket"],
        name=row["name"],
        content=row["content"],
        secret=row["secret"],
        location=row["location"],
        registering=bool(row["registering"]),
        image_id=row["image_id"],
    )


def installation_of(row: sqlite3.Row, bundles: list[Bundle]) -> Installation:
    """Read a row of ``installations``, with the bundles that it consists of."""
    return Installation(
        image_uri=row["image_uri"],
        source=row["source"],
        version=row["version"],
        serial=row["serial"],
        info=_info(row["info"]),
        emi=row["emi"],
        eki=row["eki"],
        eri=row["eri"],
        document=row["document"],
        fingerprint=row["fingerprint"],
        installed_at_s=row["installed_at_s"],
        bundles=tuple(sorted(bundles, key=order)),
        gone=row["gone"],
        number=row["id"],
    )
