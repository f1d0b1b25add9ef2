"""``--check``: look once at all that an install needs, without being the daemon."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from imagestoreproxy.checks import Parts, make_preflight
from imagestoreproxy.cloudside import CloudSide, look_for_credentials, make_cloud
from imagestoreproxy.config.settings import Settings
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.outside.background import ReactorClock, Threads
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.process import Processes
from imagestoreproxy.upstreams import Accesses


async def check(settings: Settings, reactor: Any) -> Sequence[Finding]:
    """Look at all that an install needs, without being the daemon.

    Takes no lock of the daemon's and changes nothing of its, so that it can run beside one on the
    same directory. Credentials that have to be fetched are kept there for the daemon.
    """
    threads = Threads(reactor)

    @cache
    def fetcher() -> CurlFetcher:
        return CurlFetcher(reactor)

    @cache
    def accesses(home: Path) -> Accesses:
        return Accesses(fetcher(), threads, home)

    @cache
    def side() -> CloudSide | None:
        if settings.cloud == "fake":
            return None
        may_fetch = os.access(settings.data_dir, os.W_OK)
        return CloudSide(settings, os.environ, Processes(), threads, may_fetch=may_fetch)

    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        preflight = make_preflight(
            Parts(
                lambda: settings,
                threads,
                ReactorClock(reactor),
                accesses=lambda wanted: [accesses(Path(home)).access(one) for one in wanted],
                credentials=lambda: look_for_credentials(side()),
                known=lambda: found.wallet.known if (found := side()) else None,
                cloud=lambda: make_cloud(
                    settings, found.wallet if (found := side()) else None, threads, Processes()
                ),
            )
        )
        found = await preflight.findings()
    if fetcher.cache_info().currsize:
        fetcher().close()
    threads.close(timeout_s=0.2)
    return found
