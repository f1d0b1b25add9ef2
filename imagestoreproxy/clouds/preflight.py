"""What is tried before the first byte is downloaded: all that an install will need of a cloud."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from imagestoreproxy.clouds.bucket import measured, own_buckets
from imagestoreproxy.clouds.calls import Deadline
from imagestoreproxy.clouds.clients import Clients
from imagestoreproxy.clouds.clouderrors import Endpoint, served_at_s, told_difference
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.images import NOBODYS_ID, Images
from imagestoreproxy.clouds.keys import bundle_keys
from imagestoreproxy.model.errors import Cancelled, CloudError
from imagestoreproxy.ports import Stop

GOOD_FOR_S = 60.0
# What signatures (version 4) allow between the two clocks.
CLOCK_LIMIT_S = 300.0
CLOCK_WARNING_S = 60.0
BUCKET = "image-store-check-"
KEY = "check"
CLEAN_UP_S = 5.0
CANCELLED_CLEAN_UP_S = 1.0
# A check that ended without cleaning up, as a kill makes it, is older than this.
LEFT_BEHIND_S = 120.0
_OURS = re.compile(rf"{BUCKET}[0-9a-f]{{16}}")


class Preflight:
    """Tries the cloud out; a good outcome counts for a minute.

    Args:
        monotonic_s: the clock of that minute.

    Attributes:
        may_take_hvm: whether the cloud may be new enough for it, after a check.
    """

    def __init__(
        self,
        clients: Clients,
        credentials: Credentials,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._credentials = credentials
        self._monotonic_s = monotonic_s
        self._one_at_a_time = threading.Lock()
        self._ended_at_s = -GOOD_FOR_S
        self._problem: CloudError | None = None
        self._clock_warnings: list[str] = []
        self.may_take_hvm = True

    @property
    def warnings(self) -> list[str]:
        """What is suspicious but may be meant; of clocks, as the last check saw them."""
        return [*self._credentials.warnings(), *self._clock_warnings]

    def forget(self) -> None:
        """Something failed: the next check asks again."""
        self._ended_at_s = -GOOD_FOR_S
        self._clients.forget()

    def run(self, stop: Stop) -> None:
        """Raise ``CloudError`` unless all is well; with clients, within ``Patience.check_s``."""
        asked_at_s = self._monotonic_s()
        while not self._one_at_a_time.acquire(timeout=0.1):
            stop.check()
        try:
            if self._problem is None and asked_at_s - self._ended_at_s < GOOD_FOR_S:
                return
            if self._problem is None or self._ended_at_s < asked_at_s:
                self._problem = self._tried(stop)
                self._ended_at_s = self._monotonic_s()
            if self._problem is not None:
                raise CloudError(self._problem.message, retry_helps=self._problem.retry_helps)
        finally:
            self._one_at_a_time.release()

    def _tried(self, stop: Stop) -> CloudError | None:
        self._clock_warnings = []
        try:
            bundle_keys(self._credentials)
            # Clients are made before the time counts: what this machine has to load for that is not
            # the cloud's silence.
            self._clients.ec2_calls(stop)
            self._clients.s3_calls(stop)
            deadline = Deadline(stop, self._clients.patience.check_s)
            self._ec2(deadline)
            self._s3(deadline)
        except CloudError as error:
            text = " ".join([error.message, *self.warnings])
            return CloudError(text, retry_helps=error.retry_helps)
        return None

    def _ec2(self, deadline: Deadline) -> None:
        calls = self._clients.ec2_calls(deadline)
        images = Images(self._clients.ec2(), calls, deadline)
        self._compare_clocks(calls.endpoint, images.described(NOBODYS_ID))
        # Filters came with Eucalyptus 3.3, hvm with 3.4.
        self.may_take_hvm = calls.manners.manner.version > 2 or images.knows_filters()

    def _s3(self, deadline: Deadline) -> None:
        calls = self._clients.s3_calls(deadline)
        answer = own_buckets(self._clients.s3(), calls)
        self._compare_clocks(calls.endpoint, answer)
        self._remove_left_behind(answer, deadline)
        name = f"{BUCKET}{secrets.token_hex(8)}"
        bucket, content = self._clients.bucket(name, deadline), secrets.token_bytes(64)
        sent = measured(content)
        try:
            bucket.make()
            bucket.put(KEY, content, sent)
            if bucket.content(KEY, len(content)) != content:
                raise CloudError(
                    f"{calls.endpoint} gave back something else than was stored in {name}; check "
                    "the object store and its disks."
                )
            bucket.remove()
        except CloudError:
            self._clean_up(name, CLEAN_UP_S)
            raise
        except Cancelled:
            self._clean_up(name, CANCELLED_CLEAN_UP_S)
            raise

    def _clean_up(self, name: str, limit_s: float) -> None:
        with suppress(CloudError):  # why has been said; a later check removes it
            self._clients.bucket(name, Deadline(_Unstopped(), limit_s)).remove()

    def _remove_left_behind(self, answer: dict[str, Any], deadline: Deadline) -> None:
        """Remove buckets of checks that were killed; never that of one going on elsewhere."""
        now_s = served_at_s(answer) or time.time()
        for bucket in answer.get("Buckets", ()):
            made = bucket.get("CreationDate")
            if (
                _OURS.fullmatch(str(bucket["Name"]))
                and isinstance(made, datetime)
                and now_s - made.replace(tzinfo=made.tzinfo or UTC).timestamp() > LEFT_BEHIND_S
            ):
                self._clients.bucket(str(bucket["Name"]), deadline).remove()

    def _compare_clocks(self, endpoint: Endpoint, answer: dict[str, Any]) -> None:
        now_s, served_s = time.time(), served_at_s(answer)
        if not served_s or abs(now_s - served_s) < CLOCK_WARNING_S:
            return
        text = (
            f"The clocks of this machine and of {endpoint} differ "
            f"({told_difference(now_s, served_s)}); a cloud refuses signatures beyond "
            f"{CLOCK_LIMIT_S / 60:.0f} minutes: set both by NTP."
        )
        if abs(now_s - served_s) > CLOCK_LIMIT_S:
            raise CloudError(text)
        self._clock_warnings.append(text)


class _Unstopped:
    """A ``Stop`` for what has to be done after a cancel, too."""

    def check(self) -> None:
        pass

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)
