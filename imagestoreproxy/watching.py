"""What the daemon tells of itself: its log, and numbers that are read from its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from imagestoreproxy import __version__
from imagestoreproxy.config.settings import Settings
from imagestoreproxy.install.inventory import Inventory
from imagestoreproxy.model.errors import DiskError
from imagestoreproxy.model.installs import State
from imagestoreproxy.outside.background import Threads
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.depot import DepotDirectory
from imagestoreproxy.outside.lateness import Lateness
from imagestoreproxy.outside.logbook import close_ring, open_ring
from imagestoreproxy.outside.metrics import Labels, Metrics, Readings
from imagestoreproxy.outside.usage import measure
from imagestoreproxy.ports import Clock, Sources

GONE = "gone"


class Watching:
    """Keeps the newest events of the log, and counts.

    Attributes:
        logbook: what was logged since this was made.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, reactor: Any, clock: Clock) -> None:
        self.logbook, self._observer = open_ring(debug=settings.debug)
        self._settings = settings
        self._clock = clock
        self._started_at_s = clock.now_s()
        # However many threads downloads and clouds hold up, somebody may look why.
        self._thread = Threads(reactor, size=1)
        self.metrics = Metrics(self._thread)
        self._lateness = Lateness(reactor, self.metrics.was_late)

    def watch(
        self,
        *,
        inventory: Inventory,
        sources: Sources,
        fetcher: CurlFetcher,
        cache: DepotDirectory,
    ) -> None:
        """Begin to read these parts whenever somebody asks."""
        settings = self._settings
        about: Readings = {
            "image_store_info": {(__version__, settings.cloud): 1.0},
            "image_store_start_time_seconds": {(): self._started_at_s},
            "image_store_install_places": {(): float(settings.max_installs)},
            "image_store_cache_limit_bytes": {(): float(settings.cache_bytes)},
        }
        self.metrics.watch(lambda: about)
        self.metrics.watch(lambda: {"image_store_images": images(inventory)})
        self.metrics.watch(lambda: read_sources(sources, self._clock.now_s()))
        self.metrics.watch(
            lambda: {"image_store_fetched_bytes_total": {(): fetcher.downloaded_bytes}}
        )
        self.metrics.watch(lambda: self._read_disk(cache), is_slow=True)

    def start(self) -> None:
        """Begin to look how late the reactor is: what is slow at the start is over."""
        self._lateness.start()

    def _read_disk(self, cache: DepotDirectory) -> Readings:
        try:
            found = measure(self._settings.data_dir)
            cached = sum(file.size_bytes for file in cache.files())
        except DiskError:
            return {}  # the numbers that cannot be read are not there; all others are
        return {
            "image_store_disk_free_bytes": {(): found.free_bytes},
            "image_store_disk_size_bytes": {(): found.total_bytes},
            "image_store_data_bytes": {
                ("downloads",): found.downloads_bytes,
                ("cache",): found.cache_bytes,
                ("database",): found.database_bytes,
            },
            "image_store_cache_bytes": {(): cached},
        }

    def stop(self) -> None:
        """Count no more, and keep no more of the log; call last."""
        self._lateness.stop()
        self._thread.close(timeout_s=0.2)
        close_ring(self._observer)


def images(inventory: Inventory) -> Mapping[Labels, float]:
    """Count images by their state; those gone from the cloud by a word of their own."""
    states = Counter(work.state.value for work in inventory.works.values())
    for found in inventory.installed.values():
        states[GONE if found[-1].gone else State.INSTALLED.value] += 1
    words = [state.value for state in State if state is not State.UNINSTALLED]
    return {(word,): states[word] for word in (*words, GONE)}


def read_sources(sources: Sources, now_s: float) -> Readings:
    """Tell how each source is."""
    statuses = sources.statuses()
    return {
        "image_store_source_problem": {(one.name,): float(bool(one.problem)) for one in statuses},
        "image_store_source_images": {(one.name,): one.images for one in statuses},
        "image_store_source_age_seconds": {
            (one.name,): max(0.0, now_s - one.fetched_at_s)
            for one in statuses
            if one.fetched_at_s is not None
        },
    }
