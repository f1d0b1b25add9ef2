"""The page that tells how the proxy is."""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagestoreproxy.model.overview import Overview
from imagestoreproxy.shop import Glancing
from imagestoreproxy.web import plain
from imagestoreproxy.web.answers import JsonResource, StoreRequest


class OverviewPage(JsonResource):
    """``GET /api/overview``."""

    def __init__(self, glancing: Glancing) -> None:
        super().__init__()
        self._glancing = glancing

    async def answer(self, request: StoreRequest) -> Mapping[str, Any]:
        return {"overview": overview_json(await self._glancing.overview())}


def overview_json(overview: Overview) -> dict[str, Any]:
    """Give the object ``overview``; what is not known is left out."""
    disk = overview.disk
    content: dict[str, Any] = {
        "version": overview.version,
        "started-at": plain.iso(overview.started_at_s),
        "cloud": overview.cloud,
        "installed": overview.installed,
        "failed": overview.failed,
        "queue": {
            "running": list(overview.running),
            "running-most": overview.running_most,
            "waiting": list(overview.waiting),
            "paused": list(overview.paused),
        },
        "disk": {
            "path": disk.path,
            "free-bytes": disk.free_bytes,
            "total-bytes": disk.total_bytes,
            "downloads-bytes": disk.downloads_bytes,
            "cache-bytes": disk.cache_bytes,
            "cache-limit-bytes": overview.cache_limit_bytes,
            "database-bytes": disk.database_bytes,
        },
    }
    if overview.next_comparison_at_s:
        content["next-comparison-at"] = plain.iso(overview.next_comparison_at_s)
    return content
