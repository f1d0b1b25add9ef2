"""Finds out in which manner a service wants its requests signed, once one of them is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from imagestoreproxy.clouds.clouderrors import may_be_signature, telling
from imagestoreproxy.clouds.signatures import Manner, Signer

Once = Callable[[Callable[[], bool]], bool]

# After a search in vain the next failures are told as they are.
NOT_AGAIN_S = 10.0


def manners(signatures: str, path: str) -> Sequence[Manner]:
    """Give the manners to try, in their order.

    Args:
        signatures: ``auto``, ``4`` or ``2``.
        path: that of the endpoint's URL.
    """
    versions = (4, 2) if signatures == "auto" else (int(signatures),)
    paths = (True,) if path in ("", "/") else (True, False)
    return [Manner(version, with_path) for with_path in paths for version in versions]


class Manners:
    """The manner of one service: that in which it took a request, for as long as we run.

    Args:
        candidates: in the order in which they are tried.
        probe: asks the service for something harmless, and tells whether it answered like one;
            raises when it refuses.
        monotonic_s: the clock.
    """

    def __init__(
        self,
        signer: Signer,
        candidates: Sequence[Manner],
        probe: Callable[[], bool],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        signer.manner = candidates[0]
        self._signer = signer
        self._candidates = candidates
        self._probe = probe
        self._monotonic_s = monotonic_s
        self._settled = len(candidates) == 1
        self._ended_at_s = -NOT_AGAIN_S
        self._lock = threading.Lock()

    @property
    def manner(self) -> Manner:
        """That of now."""
        return self._signer.manner

    def forget(self) -> None:
        """Something failed: it may be another cloud by now."""
        self._settled = len(self._candidates) == 1
        self._ended_at_s = -NOT_AGAIN_S

    def taken(self) -> None:
        """Note that the service took a request."""
        self._settled = True

    def another(self, signed: Manner, failure: Exception, send: Once) -> Exception | None:
        """Look for another manner after a failure.

        Args:
            signed: the manner of the request that failed.
            send: sends a request once, bounded in time.

        Returns:
            None when the request may be sent again, as there is another manner now; else the
            failure that tells most.
        """
        if not may_be_signature(failure):
            return failure
        with self._lock:
            if self._signer.manner != signed:
                return None
            if self._settled or self._monotonic_s() - self._ended_at_s < NOT_AGAIN_S:
                return failure
            return self._searched(failure, send)

    def _searched(self, failure: Exception, send: Once) -> Exception | None:
        signed = self._signer.manner
        for manner in self._candidates:
            try:
                taken = send(partial(self._sent, manner))
            except ClientError as error:
                failure = max(failure, error, key=telling)
            except BotoCoreError:
                break  # no answer at all; the one that there was says more
            else:
                if taken:
                    self._signer.manner = manner
                    self._settled = True
                    return None if manner != signed else failure
        self._ended_at_s = self._monotonic_s()
        return failure

    def _sent(self, manner: Manner) -> bool:
        # Loaded long before by the client; at the top it would cost an idle daemon.
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        with self._signer.trying(manner), suppress(ResponseParserError):
            return self._probe()
        return False
