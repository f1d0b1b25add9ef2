"""``image-store export`` and ``image-store import``: images for sites without internet.

What they do is imported when it is wanted, as in ``local.py``.
"""

# ruff: noqa: PLC0415 - other commands begin sooner

from __future__ import annotations

import argparse
import codecs
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import find_images
from imagestoreproxy.client.command import Command, print_json
from imagestoreproxy.client.display import Display, Silent, display_for
from imagestoreproxy.client.offline import DEFAULT_CONFIG
from imagestoreproxy.client.requests import MISUSED, ClientError, Connection
from imagestoreproxy.model.carrying import FILES, image_json
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.words import size
from imagestoreproxy.web.present import image_id

STREAM = "-"


def export_images(command: Command) -> None:
    """Have the proxy fetch images, and write them into an archive as a whole or not at all."""
    from imagestoreproxy.client.export import fetched, write_archive

    options, connection = command.options, command.connection
    if options.file == STREAM and sys.stdout.isatty():
        raise ClientError("The archive is not written to a terminal: name a file.", MISUSED)
    uris = [found.uri for found in find_images(connection, options.images)]
    # Opened first: what cannot be written is not worth being fetched.
    with _whole_file(options.file) as target:
        if not options.json:
            for uri in uris:
                print(f"Fetching {text.plain(uri)}", file=sys.stderr)
        try:
            images = [fetched(connection, uri, _display(options)) for uri in uris]
        except KeyboardInterrupt:
            _release(connection, uris)
            raise
        size_bytes = write_archive(connection, images, target)
    _release(connection, uris)
    if options.json and options.file != STREAM:
        print_json({"images": [image_json(image) for image in images], "file": options.file})
    elif not options.json:
        titles = ", ".join(f"{image.info.title} {image.info.version}".strip() for image in images)
        print(
            f"{size(size_bytes)} of {FILES} with their signatures:"
            f" {text.plain(titles)} -> {options.file}",
            file=sys.stderr,
        )


def import_images(options: argparse.Namespace) -> None:
    """Verify an archive, and put what is in it where the proxy finds it.

    Raises:
        ClientError: it is refused.
    """
    from imagestoreproxy.client.arrival import take_in
    from imagestoreproxy.client.trust import Trust
    from imagestoreproxy.config.file import Defaults, read_config

    data_dir = Path(options.data_dir).expanduser().absolute()
    keyring = Path(options.keyring).expanduser() if options.keyring else data_dir / "keyring.gpg"
    file = Path(options.config or DEFAULT_CONFIG).expanduser()
    try:
        said = read_config(file, Defaults(keyring), must_exist=bool(options.config))
    except SettingsError as error:
        raise ClientError(error.message, MISUSED) from None
    with _opened(options.file) as archive:
        _become_owner(data_dir)
        with TemporaryDirectory(ignore_cleanup_errors=True) as homes:
            trust = Trust(said.sources, keyring.absolute(), Path(homes))
            taken = take_in(archive, data_dir, trust.verify)
    if options.json:
        print_json({"images": [image_json(image) for image, _ in taken]})
        return
    for image, fingerprint in taken:
        title = f"{image.info.title} {image.info.version}".strip()
        print(f"{text.plain(title)}, signed by {fingerprint}\n  {text.plain(image.uri)}")
    print("The proxy offers them within some seconds, or when it is started.")


def _release(connection: Connection, uris: Iterable[str]) -> None:
    """Tell the proxy that nobody waits for these any more."""
    for uri in uris:
        with suppress(ClientError):  # it is only kept a little longer
            connection.post(f"/api/images/{image_id(uri)}/release")


def _display(options: argparse.Namespace) -> Display:
    if options.json:
        return Silent()
    return display_for(sys.stderr)


@contextmanager
def _whole_file(name: str) -> Iterator[BinaryIO]:
    """Open a file that is there under its name when it is complete, and not before."""
    if name == STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ClientError(f"{path} cannot be written: {error.strerror or error}.") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STREAM:
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise ClientError(f"{name} cannot be read: {error.strerror}.", MISUSED) from None
    with file:
        yield file


def _become_owner(data_dir: Path) -> None:
    """As root, go on as whom the data directory belongs to: the proxy must be able to read it."""
    try:
        found = data_dir.stat()
    except FileNotFoundError:
        raise ClientError(
            f"There is no data directory {data_dir}: start the proxy once, or give its --data-dir.",
            MISUSED,
        ) from None
    except OSError as error:
        raise ClientError(f"{data_dir} cannot be used: {error.strerror}.", MISUSED) from None
    if os.geteuid() == 0 and found.st_uid != 0:
        # What python-gnupg asks for later; Python itself may be where only root can read.
        codecs.lookup("latin-1")
        os.setgroups([])
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)
