"""``image-store serve``: a published directory over HTTP, until SIGTERM or Ctrl-C.

The reactor is made here, and passed on. ``main.py`` alone imports Twisted's global one, which would
be made by that import and is the daemon's; but parts of Twisted that send files ask for the
process's reactor by themselves, so ours is installed as that before anything else of Twisted's can
bring another into being. Nothing of this happens in any other command.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.main import installReactor
from twisted.internet.pollreactor import PollReactor
from twisted.python.failure import Failure

from imagestoreproxy.model.errors import OwnStateError, SettingsError
from imagestoreproxy.web.published import PublishedSite


def serve(directory: Path, listen: str, *, is_debug: bool) -> None:
    """Serve what was published of a directory, or a directory that is a published tree.

    Args:
        listen: a Twisted endpoint string.
        is_debug: writes a line for each request to standard error.

    Raises:
        SettingsError: nothing is published there, or the endpoint is none.
        OwnStateError: the address cannot be had.
    """
    root = published_root(directory)
    reactor: Any = PollReactor()
    installReactor(reactor)
    failures: list[Failure] = []
    site = PublishedSite(root, reactor, tell=_tell if is_debug else None)

    def give_up(failure: Failure) -> None:
        failures.append(failure)
        reactor.stop()

    def begin() -> None:
        _listen(reactor, listen, site).addCallbacks(_listens, give_up)

    reactor.callWhenRunning(begin)
    reactor.run()
    if failures:
        error = failures[0].value
        if isinstance(error, ValueError | TypeError | LookupError):
            raise SettingsError(f"--listen '{listen}' is no endpoint: {error}.") from error
        raise OwnStateError(f"Cannot listen on '{listen}': {error}.") from error


def published_root(directory: Path) -> Path:
    """Give the tree to serve.

    Raises:
        SettingsError: there is none.
    """
    for root in (directory / "public", directory):
        # Not the sums alone: they lie beside images that were fetched from elsewhere, too.
        if all((root / name).is_file() for name in ("SHA256SUMS", "keyring.gpg", "key.asc")):
            return root.absolute()
    raise SettingsError(
        f"Nothing is published in {directory} yet; do that with: image-store publish {directory} "
        "--key KEYID"
    )


def _listen(reactor: Any, listen: str, site: PublishedSite) -> Deferred[Any]:
    try:
        listening: Deferred[Any] = serverFromString(reactor, listen).listen(site)
        return listening
    except Exception:  # whatever a part of the endpoint's description leads to
        return Deferred.fromCoroutine(_failed(Failure()))


async def _failed(failure: Failure) -> None:
    failure.raiseException()


def _listens(port: Any) -> None:
    address = port.getHost()
    place = f"{address.host} port {address.port}" if hasattr(address, "port") else str(address)
    print(f"listening on {place}", file=sys.stderr, flush=True)  # noqa: T201


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
