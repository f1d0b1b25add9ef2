"""The numbers of ``/metrics``: what is counted, what is read when somebody asks, and their text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from imagestoreproxy.model.errors import OwnStateError
from imagestoreproxy.model.history import Outcome
from imagestoreproxy.model.installs import Step
from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.ports import Background, Stop, Task
from imagestoreproxy.ports.metering import ENDS

Labels = tuple[str, ...]
# By the name of a metric: its value for each set of labels; () where it has none.
Readings = Mapping[str, Mapping[Labels, float]]
Read = Callable[[], Readings]

# Seconds.
INSTALL_S = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)
STAGE_S = (0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)
DELAY_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

# What is read when somebody asks: help, and the names of labels. What ends in _total only grows.
READ: dict[str, tuple[str, Labels]] = {
    "image_store_info": ("The daemon: always 1.", ("version", "cloud")),
    "image_store_start_time_seconds": ("When the daemon was started, in Unix seconds.", ()),
    "image_store_images": ("Images by their state; gone: missing in the cloud.", ("state",)),
    "image_store_install_places": ("How many installs may run at a time.", ()),
    "image_store_source_age_seconds": (
        "How long ago a source was last read successfully; absent before the first time.",
        ("source",),
    ),
    "image_store_source_problem": ("Whether a source has a problem now (1).", ("source",)),
    "image_store_source_images": ("Images that a source offers.", ("source",)),
    "image_store_fetched_bytes_total": ("Bytes of files that came from sources.", ()),
    "image_store_cache_bytes": ("What the cache of verified files holds.", ()),
    "image_store_cache_limit_bytes": ("What the cache may hold unasked.", ()),
    "image_store_data_bytes": ("What the data directory takes on the disk.", ("part",)),
    "image_store_disk_free_bytes": ("What may still be written to the data directory.", ()),
    "image_store_disk_size_bytes": ("The size of the file system of the data directory.", ()),
    "image_store_connections": ("HTTP connections that are open, without streams.", ()),
    "image_store_event_streams": ("Pages that listen for events.", ()),
}


class Metrics:
    """``ports.metering.Meters`` and ``shop.Metrics``, in a registry of its own.

    Args:
        background: where the text is made; one thread is enough.
    """

    def __init__(self, background: Background) -> None:
        self._background = background
        self._registry = registry = CollectorRegistry()
        self._reads: list[Read] = []
        self._slow_reads: list[Read] = []
        self._making: Task | None = None
        self._text = b""
        self._requests: dict[tuple[str, str, int], Histogram] = {}
        self._installs = Counter(
            "image_store_installs", "Installs that have ended.", ["outcome"], registry=registry
        )
        self._install_s = Histogram(
            "image_store_install_duration_seconds",
            "How long installs took from the click to their end, without pauses.",
            ["outcome"],
            buckets=INSTALL_S,
            registry=registry,
        )
        self._stage_s = Histogram(
            "image_store_stage_duration_seconds",
            "How long installs spent in one stage at a stretch.",
            ["stage"],
            buckets=STAGE_S,
            registry=registry,
        )
        self._uploaded = Counter(
            "image_store_uploaded_bytes", "Bytes that the cloud has taken.", registry=registry
        )
        self._request_s = Histogram(
            "image_store_http_request_duration_seconds",
            "From the whole request to the end of its answer; of a stream, to its beginning.",
            ["route", "method", "status"],
            buckets=REQUEST_S,
            registry=registry,
        )
        self._refused = Counter(
            "image_store_http_refused_requests",
            "Requests that were refused before they were looked at.",
            ["reason"],
            registry=registry,
        )
        self._delay_s = Histogram(
            "image_store_reactor_delay_seconds",
            "How late the reactor does what is to be done at a certain time.",
            buckets=DELAY_S,
            registry=registry,
        )
        self._readings = _Readings()
        registry.register(self._readings)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        # From the first moment on, so that the first failure is seen as one more than none.
        for outcome in ENDS:
            self._installs.labels(outcome.value)
        for reason in Reason:
            self._refused.labels(reason.value)

    def watch(self, read: Read, *, is_slow: bool = False) -> None:
        """Read these whenever somebody asks.

        Args:
            is_slow: in a thread; else in the reactor's.
        """
        (self._slow_reads if is_slow else self._reads).append(read)

    def stage_ended(self, step: Step, seconds: float) -> None:
        self._stage_s.labels(step.value).observe(seconds)

    def install_ended(self, outcome: Outcome, seconds: float) -> None:
        self._installs.labels(outcome.value).inc()
        self._install_s.labels(outcome.value).observe(seconds)

    def uploaded(self, size_bytes: int) -> None:
        self._uploaded.inc(size_bytes)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        key = route, method, status
        child = self._requests.get(key)
        if child is None:
            child = self._requests[key] = self._request_s.labels(route, method, str(status))
        child.observe(seconds)

    def refused(self, reason: Reason) -> None:
        self._refused.labels(reason.value).inc()

    def was_late(self, seconds: float) -> None:
        """The reactor did something so late."""
        self._delay_s.observe(seconds)

    async def text(self) -> bytes:
        """Give all of it in Prometheus' text format; who asks at the same time gets the same.

        Raises:
            OwnStateError: it could not be made; the log has the details.
        """
        making = self._making
        if making is None:
            making = self._making = self._background.start("metrics", self._make())
        await making.ended()
        if self._making is making:
            self._making = None
        if not self._text:
            raise OwnStateError("The numbers could not be read; the proxy's log has the details.")
        return self._text

    async def _make(self) -> None:
        self._text = b""  # old numbers for new ones would be worse than none
        found = [read() for read in self._reads]

        def work(_stop: Stop) -> bytes:
            found.extend(read() for read in self._slow_reads)
            self._readings.now = {name: values for one in found for name, values in one.items()}
            return generate_latest(cast(CollectorRegistry, _WithoutBirths(self._registry)))

        self._text = await self._background.run(work)


class _WithoutBirths:
    """Leaves out when each series began: nobody reads it, and it is a third of the text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


class _Readings(Collector):
    """Gives what was read for this text.

    Attributes:
        now: replaced as a whole, never changed.
    """

    def __init__(self) -> None:
        self.now: Readings = {}

    def collect(self) -> Iterator[Metric]:
        for name, (text, labels) in READ.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=labels)
            for values, value in self.now.get(name, {}).items():
                family.add_metric(values, value)
            yield family
