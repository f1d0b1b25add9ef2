"""How far an install is: honestly weighted, never backwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from imagestoreproxy.model.installs import Progress, Step

# What a byte of the download costs in each step. Both are bound by links: that of the store, and
# that to the cloud; they go on at the same time.
WEIGHTS = {Step.DOWNLOADING: 1.0, Step.UPLOADING: 1.0}
# What is laid down on the disk at first is packed, sealed and sent only when all of it has come.
ON_DISK_WEIGHTS = {Step.DOWNLOADING: 1.0, Step.UPLOADING: 0.2, Step.BUNDLING: 2.0}
WINDOW_S = 10.0
SAMPLE_S = 0.25
LAST_PERCENT = 99


class Meter:
    """Counts the bytes of one install, file by file.

    ``set_done`` and ``has_received`` may be called from any thread, for each step of a file from
    one at a time; everything else from the reactor's.

    Args:
        floor_percent: what was shown before a restart; less is never shown again.
    """

    def __init__(self, floor_percent: int = 0) -> None:
        self.step = Step.WAITING
        self._total_bytes = 0
        self._weights: Mapping[Step, float] = WEIGHTS
        self._done_bytes: dict[Step, dict[str, int]] = {step: {} for step in Step}
        self._percent = floor_percent
        self._samples: deque[tuple[float, int]] = deque()
        self._received_bytes: dict[str, int] = {}

    @property
    def received_bytes(self) -> int:
        """Give what came from servers, whatever became of it."""
        return sum(self._received_bytes.copy().values())

    def plan(self, sizes_bytes: Mapping[str, int], *, bundles_on_disk: bool = False) -> None:
        """Say how many bytes each file has, that each step has to go through."""
        self._total_bytes = max(1, sum(sizes_bytes.values()))
        self._weights = ON_DISK_WEIGHTS if bundles_on_disk else WEIGHTS
        self._done_bytes = {step: {} for step in Step}

    def begin(self, step: Step) -> None:
        """Enter a step."""
        if step is not self.step:
            self.step = step
            self._samples.clear()

    def set_done(self, step: Step, name: str, done_bytes: int) -> None:
        """Say how far a step is with a file; it may go back, the percentage does not."""
        self._done_bytes[step][name] = done_bytes

    def has_received(self, name: str, size_bytes: int) -> None:
        """Count what has come from a server."""
        self._received_bytes[name] = self._received_bytes.get(name, 0) + size_bytes

    def reading(self, now_s: float) -> Progress:
        """Give the progress at a moment of a monotonic clock, in seconds."""
        counts = self.step in self._weights
        done_bytes = self._done(self.step) if counts else 0
        self._percent = max(self._percent, self._weighted_percent())
        rate = self._rate(now_s, done_bytes)
        left_bytes = self._total_bytes - done_bytes
        return Progress(
            step=self.step,
            percent=min(self._percent, LAST_PERCENT),
            bytes_done=done_bytes,
            bytes_total=self._total_bytes if counts else 0,
            bytes_per_second=rate if counts else 0.0,
            eta_s=left_bytes / rate if counts and rate > 0 else None,
        )

    def _done(self, step: Step) -> int:
        return min(sum(self._done_bytes[step].values()), self._total_bytes)

    def _weighted_percent(self) -> int:
        if not self._total_bytes:
            return 0
        done = sum(
            weight * self._done(step) / self._total_bytes for step, weight in self._weights.items()
        )
        return int(100 * done / sum(self._weights.values()))

    def _rate(self, now_s: float, done_bytes: int) -> float:
        samples = self._samples
        if not samples or now_s - samples[-1][0] >= SAMPLE_S:
            samples.append((now_s, done_bytes))
        while len(samples) > 2 and now_s - samples[1][0] >= WINDOW_S:
            samples.popleft()
        since_s, from_bytes = samples[0]
        return max(0.0, (done_bytes - from_bytes) / (now_s - since_s)) if now_s > since_s else 0.0
