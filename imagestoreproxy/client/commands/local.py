"""Commands that need no proxy and no credentials: a source of one's own.

What they do is imported when it is wanted, for one of them does without what the other needs.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from imagestoreproxy.client.failure import FAILED, MISUSED, ClientError
from imagestoreproxy.model.errors import SettingsError, StoreProxyError


def publish(options: argparse.Namespace) -> None:
    """Publish a directory, and tell what there is now."""
    from imagestoreproxy.client.publish import publish_directory

    with _told():
        publish_directory(options)


def serve(options: argparse.Namespace) -> None:
    """Serve what was published, until SIGTERM or Ctrl-C."""
    from imagestoreproxy.client.serve import serve as serve_published

    with _told():
        serve_published(options.directory, options.listen, is_debug=options.debug)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except StoreProxyError as error:
        status = MISUSED if isinstance(error, SettingsError) else FAILED
        raise ClientError(error.message, status) from error
