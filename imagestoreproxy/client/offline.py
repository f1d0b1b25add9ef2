"""The commands that ask no proxy: an import, a store of one's own, and what a shell needs."""

from __future__ import annotations

from pathlib import Path

from imagestoreproxy.client.entry import CARRY, DIRECTORY, FILE, OWN, TERMINAL, Entry, arg
from imagestoreproxy.sources.publishing.words import (
    EXPIRES_DAYS,
    PORT,
    STORE,
    STORE_FILE,
    STREAMS,
)

DATA_DIR = "/var/lib/image-store-proxy"
# As in config/file.py, which takes its time to be imported.
DEFAULT_CONFIG = "/etc/image-store-proxy/config.toml"
DEFAULT_LISTEN = f"tcp:{PORT}"

IMPORTING = (
    Entry(
        CARRY,
        "import",
        "verify an archive, and offer its images here",
        "carrying:import_images",
        (
            arg("file", help="what export wrote; '-': standard input", completes=FILE),
            arg(
                "--data-dir",
                default=DATA_DIR,
                metavar="DIR",
                help=f"of the proxy; whoever may write there may import (default: {DATA_DIR})",
                completes=DIRECTORY,
            ),
            arg(
                "--keyring",
                default="",
                metavar="FILE",
                help="as the proxy's own option (without it: DIR/keyring.gpg)",
                completes=FILE,
            ),
            arg(
                "--config",
                default="",
                metavar="FILE",
                help="as the proxy's own option: sources in it say whose keys hold for their images"
                f" (without it: {DEFAULT_CONFIG}, if there is one)",
                completes=FILE,
            ),
        ),
        shape="import",
        asks_proxy=False,
    ),
)

PUBLISHING = (
    Entry(
        OWN,
        "publish",
        "make a signed image store of a directory of images",
        "local:publish",
        (
            arg(
                "directory",
                type=Path,
                metavar="DIR",
                help="with the images",
                completes=DIRECTORY,
            ),
            arg(
                "--key",
                required=True,
                metavar="KEYID",
                help="to sign with, as gpg --local-user takes it",
            ),
            arg("--title", default="", help="of the store"),
            arg(
                "--from",
                dest="store_file",
                type=Path,
                metavar="FILE",
                help=f"what to say about the images (default: {STORE_FILE} in DIR, if there is "
                "one)",
                completes=FILE,
            ),
            arg(
                "--url",
                dest="public_url",
                default="",
                metavar="URL",
                help="where DIR/public will be reached (default: http://this host's name:"
                + f"{PORT})",
            ),
            arg(
                "--format",
                dest="form",
                choices=(STORE, STREAMS),
                default=STORE,
                help=f"an Image Store API, or a mirror like Ubuntu's (default: {STORE})",
            ),
            arg(
                "--expires-days",
                type=int,
                metavar="N",
                help="how long proxies believe it without another publication "
                f"(default: {EXPIRES_DAYS})",
            ),
            arg(
                "--gnupg-home",
                default="",
                metavar="DIR",
                help="where the key is (default: gpg's own)",
                completes=DIRECTORY,
            ),
        ),
        shape="publish",
        asks_proxy=False,
    ),
    Entry(
        OWN,
        "serve",
        "serve a published directory over HTTP",
        "local:serve",
        (
            arg(
                "directory",
                type=Path,
                metavar="DIR",
                help="that was published",
                completes=DIRECTORY,
            ),
            arg(
                "--listen",
                default=DEFAULT_LISTEN,
                metavar="ENDPOINT",
                help=f"as Twisted describes endpoints (default: {DEFAULT_LISTEN})",
            ),
            arg("--debug", action="store_true", help="tell of each request"),
        ),
        asks_proxy=False,
    ),
)

SHELL = (
    Entry(
        TERMINAL,
        "completion",
        "write what makes a shell complete these commands",
        "completion:completion",
        (arg("shell", choices=("bash", "zsh", "fish"), help="which shell"),),
        shape="completion",
        asks_proxy=False,
        more="For bash: image-store completion bash > "
        "~/.local/share/bash-completion/completions/image-store",
    ),
)

OFFLINE: tuple[Entry, ...] = (*IMPORTING, *PUBLISHING, *SHELL)
