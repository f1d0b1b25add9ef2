"""What is counted of requests: the only place where they are."""

from __future__ import annotations

from imagestoreproxy.model.refusals import Reason
from imagestoreproxy.shop import Metrics
from imagestoreproxy.web.answers import StoreRequest
from imagestoreproxy.web.routes import Routes

# Anybody may send any method.
METHODS = {b"GET": "GET", b"POST": "POST", b"HEAD": "HEAD"}


class Measures:
    """Tells ``metrics``, if there are any, in words of which there are only so many."""

    def __init__(self, metrics: Metrics | None, routes: Routes) -> None:
        self._metrics = metrics
        self._routes = routes

    def answered(self, request: StoreRequest, seconds: float) -> None:
        """A request was answered, so many seconds after all of it had come."""
        if self._metrics is None:
            return
        if request.refused_for is not None:
            self._metrics.refused(request.refused_for)
        method = METHODS.get(request.method, "other")
        self._metrics.answered(self._routes.of(request), method, request.code, seconds)

    def refused(self, reason: Reason) -> None:
        """Something came that is not even a request."""
        if self._metrics is not None:
            self._metrics.refused(reason)
