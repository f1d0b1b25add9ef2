"""How far an install is: honestly weighted, never backwards."""

from __future__ import annotations

from collections import deque

from imagestoreproxy.model.installs import Progress, Step

# What a byte of the download costs in each step, relative to fetching it (measured: fetching and
# storing are bound by links, looking through an archive by one core).
WEIGHTS = {Step.DOWNLOADING: 1.0, Step.UNPACKING: 0.2, Step.UPLOADING: 1.0}
WINDOW_S = 10.0
SAMPLE_S = 0.25
LAST_PERCENT = 99


class Meter:
    """Counts the bytes of one install.

    ``advance`` may be called from any one thread at a time; everything else from the reactor's.

    Args:
        floor_percent: what was shown before a restart; less is never shown again.
    """

    def __init__(self, floor_percent: int = 0) -> None:
        self.step = Step.WAITING
        self._total_bytes = 0
        self._done_bytes = dict.fromkeys(WEIGHTS, 0)
        self._percent = floor_percent
        self._samples: deque[tuple[float, int]] = deque()

    def plan(self, total_bytes: int) -> None:
        """Say how many bytes each step has to go through."""
        self._total_bytes = max(1, total_bytes)

    def begin(self, step: Step) -> None:
        """Enter a step; its bytes are counted anew."""
        if step is not self.step:
            self.step = step
            self._samples.clear()

    def set_done(self, step: Step, done_bytes: int) -> None:
        """Say how far a step is; a download that starts over goes back, the percentage does not."""
        self._done_bytes[step] = done_bytes

    def advance(self, size_bytes: int) -> None:
        """Count bytes of the step that is going on."""
        self._done_bytes[self.step] += size_bytes

    def reading(self, now_s: float) -> Progress:
        """Give the progress at a moment of a monotonic clock, in seconds."""
        done_bytes = min(self._done_bytes.get(self.step, 0), self._total_bytes)
        self._percent = max(self._percent, self._weighted_percent())
        rate = self._rate(now_s, done_bytes)
        left_bytes = self._total_bytes - done_bytes
        counts = self.step in WEIGHTS
        return Progress(
            step=self.step,
            percent=min(self._percent, LAST_PERCENT),
            bytes_done=done_bytes if counts else 0,
            bytes_total=self._total_bytes if counts else 0,
            bytes_per_second=rate if counts else 0.0,
            eta_s=left_bytes / rate if counts and rate > 0 else None,
        )

    def _weighted_percent(self) -> int:
        if not self._total_bytes:
            return 0
        done = sum(
            weight * min(self._done_bytes[step] / self._total_bytes, 1.0)
            for step, weight in WEIGHTS.items()
        )
        return int(100 * done / sum(WEIGHTS.values()))

    def _rate(self, now_s: float, done_bytes: int) -> float:
        samples = self._samples
        if not samples or now_s - samples[-1][0] >= SAMPLE_S:
            samples.append((now_s, done_bytes))
        while len(samples) > 2 and now_s - samples[1][0] >= WINDOW_S:
            samples.popleft()
        since_s, from_bytes = samples[0]
        return max(0.0, (done_bytes - from_bytes) / (now_s - since_s)) if now_s > since_s else 0.0
