"""The pages that tell what has happened."""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagestoreproxy.model.history import Happening, Run
from imagestoreproxy.shop import History
from imagestoreproxy.web import plain
from imagestoreproxy.web.answers import JsonResource, StoreRequest
from imagestoreproxy.web.asked import whole
from imagestoreproxy.web.pieces import MOST_FROM
from imagestoreproxy.web.present import SUMMARY_CHARS, TAG_CHARS, TITLE_CHARS, image_uri_of

AT_ONCE = 500
USUAL = 100

Json = dict[str, Any]


class ImageHistoryPage(JsonResource):
    """``GET /api/images/ID/history``: the runs of one image, newest first, with their events."""

    def __init__(self, history: History, name: bytes) -> None:
        super().__init__()
        self._history = history
        self._name = name

    async def answer(self, request: StoreRequest) -> Mapping[str, Any]:
        runs = await self._history.history_of(image_uri_of(self._name))
        now_s = request.site.clock.now_s()
        return {
            "history": [
                {**run_json(run, now_s), "events": [_event_json(one) for one in run.events]}
                for run in runs
            ]
        }


class HistoryPage(JsonResource):
    """``GET /api/history?from=N&count=N``: all runs, newest first, without their events."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    async def answer(self, request: StoreRequest) -> Mapping[str, Any]:
        given = dict(request.pairs)
        first = whole(given, "from", 0, MOST_FROM) or 0
        count = whole(given, "count", 1, AT_ONCE) or USUAL
        runs, total = await self._history.history(first, count)
        now_s = request.site.clock.now_s()
        return {"history": [run_json(run, now_s) for run in runs], "history-total": total}


def run_json(run: Run, now_s: float) -> Json:
    """Give one object of ``history``, but for its events; what is not known is left out."""
    content: Json = {
        "run": run.token,
        "image-uri": run.image_uri,
        "title": plain.text(run.title, TITLE_CHARS),
        "version": plain.text(run.version, TAG_CHARS),
        "kind": run.kind,
        "outcome": run.outcome,
        "began-at": plain.iso(run.began_at_s),
        "seconds": _seconds((run.ended_at_s or now_s) - run.began_at_s),
    }
    if run.ended_at_s:
        content["ended-at"] = plain.iso(run.ended_at_s)
    if run.error:
        content["error-message"] = plain.text(run.error, SUMMARY_CHARS)
    if run.emi:
        content["emi"] = run.emi
    if run.fetched_bytes:
        content["bytes"] = run.fetched_bytes
    return content


def _event_json(event: Happening) -> Json:
    content: Json = {
        "at": plain.iso(event.at_s),
        "what": event.what,
        "text": plain.text(event.text, SUMMARY_CHARS),
    }
    if event.seconds is not None:
        content["seconds"] = _seconds(event.seconds)
    if event.size_bytes is not None:
        content["bytes"] = event.size_bytes
    return content


def _seconds(seconds: float) -> float:
    # The clock may have been set back meanwhile.
    return round(max(0.0, seconds), 1)
