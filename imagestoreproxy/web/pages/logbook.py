"""The page of what the daemon has logged."""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.logbook import Level
from imagestoreproxy.shop import Logbook
from imagestoreproxy.web.answers import JsonResource, StoreRequest
from imagestoreproxy.web.asked import whole
from imagestoreproxy.web.plain import iso

COUNT = 100
MOST = 1000
# More than any process logs.
HIGHEST = 10**18 - 1


class LogPage(JsonResource):
    """``GET /api/log?since=NUMBER&count=N&level=LEVEL``: the newest events, oldest first.

    With ``since`` it begins after that number; ``last-number`` is what to give there next.
    """

    def __init__(self, logbook: Logbook) -> None:
        super().__init__()
        self._logbook = logbook

    async def answer(self, request: StoreRequest) -> Mapping[str, Any]:
        given = dict(request.pairs)
        since = whole(given, "since", 0, HIGHEST)
        count = whole(given, "count", 1, MOST)
        entries, last = self._logbook.entries(since, count or COUNT, _level(given))
        return {
            "log": [
                {
                    "number": entry.number,
                    "at": iso(entry.at_s),
                    "level": entry.level.value,
                    "text": entry.text,
                    "namespace": entry.namespace,
                }
                for entry in entries
            ],
            "last-number": last,
        }


def _level(given: Mapping[str, str]) -> Level:
    text = given.get("level", Level.DEBUG)
    try:
        return Level(text)
    except ValueError:
        raise CallerError(f"level must be one of {', '.join(Level)}.") from None
