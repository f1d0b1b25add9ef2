"""``image-store publish``: its options read, and what came of it told."""

# ruff: noqa: T201 - printing is its purpose

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from imagestoreproxy.client import text
from imagestoreproxy.client.command import print_json
from imagestoreproxy.client.publication import Publishing, Report, described
from imagestoreproxy.client.storefile import read_store
from imagestoreproxy.config.tables import is_http_url
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.outside.gpgsign import GpgSigner
from imagestoreproxy.sources.publishing.words import (
    LONGEST_EXPIRES_DAYS,
    PORT,
    STORE_FILE,
    STREAMS,
    StoreWords,
)


def publish_directory(options: argparse.Namespace) -> None:
    """Publish a directory, and tell what there is now.

    Raises:
        StoreProxyError: it was not published.
    """
    directory: Path = options.directory
    if not directory.is_dir():
        raise SettingsError(f"{directory} is not a directory.")
    words = _words(options, directory)
    signer = GpgSigner(options.key, gnupg_home=options.gnupg_home)
    tell: Callable[[str], None] = lambda sentence: print(text.plain(sentence), file=sys.stderr)  # noqa: E731
    report = Publishing(directory, words, signer, form=options.form, tell=tell).publish()
    public = (directory / "public").absolute()
    if options.json:
        print_json(described(report, words, options.form, public))
    else:
        for line in _lines(report, words, options, public):
            print(line)


def _words(options: argparse.Namespace, directory: Path) -> StoreWords:
    words = StoreWords()
    file = options.store_file or directory / STORE_FILE
    if options.store_file or file.is_file():
        words = read_store(file)
    url = options.public_url.rstrip("/") or words.url or f"http://{socket.gethostname()}:{PORT}"
    if not is_http_url(url) or "?" in url or "#" in url:
        raise SettingsError(f"--url must be like http://store.example:{PORT}, not '{url}'.")
    days = words.expires_days if options.expires_days is None else options.expires_days
    if not 1 <= days <= LONGEST_EXPIRES_DAYS:
        raise SettingsError(f"--expires-days must be from 1 to {LONGEST_EXPIRES_DAYS}, not {days}.")
    title = (options.title or words.title or "Images").strip()
    return replace(words, title=title, url=url, expires_days=days)


def _lines(
    report: Report, words: StoreWords, options: argparse.Namespace, public: Path
) -> list[str]:
    unchanged = report.images - len(report.fresh)
    lines = [
        f"Published {report.images} image{'' if report.images == 1 else 's'}: {len(report.fresh)} "
        f"new or changed, {unchanged} unchanged; {report.read_bytes} bytes read."
    ]
    if report.fresh:
        lines.append(f"  New or changed: {', '.join(report.fresh)}")
    if report.gone:
        lines.append(f"  No longer offered: {', '.join(report.gone)}")
    if report.not_installable:
        lines.append(
            "  Listed, but not to be installed from this format, which knows only plain qcow2 disks"
            f" and tar.gz with vmlinuz and .img: {', '.join(report.not_installable)}"
        )
    keyring = public / "keyring.gpg"
    if options.form == STREAMS:
        lines.append(f"Mirror:  {words.url}/")
        lines.append("A proxy elsewhere needs this in its config.toml, with a copy of the key:")
        lines += [
            "  [[source]]",
            '  name = "site"',
            '  type = "simplestreams"',
            f'  url = "{words.url}/"',
            f'  keyring = "{keyring}"',
        ]
    else:
        lines.append(f"API:     {words.url}/api")
        lines.append("A proxy elsewhere needs these options, with a copy of the key:")
        lines.append(f"  --api-url={words.url}/api --keyring={keyring}")
    lines.append(f"Key:     {report.fingerprint}")
    lines.append(
        f"  It is also at {words.url}/keyring.gpg; who fetches it there must compare the "
        "fingerprint with one that came another way."
    )
    if report.expires_s:
        day = time.strftime("%Y-%m-%d", time.gmtime(report.expires_s))
        lines.append(f"Publish again before {day}; proxies believe it no longer.")
    lines.append(
        f"Serve it with any web server from {public}, or: image-store serve {options.directory}"
    )
    return lines
