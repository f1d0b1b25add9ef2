"""The page that tells what an install would do."""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.previews import Preview
from imagestoreproxy.shop import Planning
from imagestoreproxy.web import plain
from imagestoreproxy.web.answers import JsonResource, StoreRequest
from imagestoreproxy.web.present import SUMMARY_CHARS, TAG_CHARS, TITLE_CHARS, image_uri_of

Json = dict[str, Any]


class PlanPage(JsonResource):
    """``GET /api/images/ID/plan``."""

    def __init__(self, planning: Planning, name: bytes) -> None:
        super().__init__()
        self._planning = planning
        self._name = name

    async def answer(self, request: StoreRequest) -> Mapping[str, Any]:
        return {"plan": plan_json(await self._planning.plan(image_uri_of(self._name)))}


def plan_json(preview: Preview) -> Json:
    """Give the object ``plan``; what is not known is left out."""
    signed_by = {"fingerprint": preview.fingerprint}
    if preview.signer:
        signed_by["name"] = plain.text(preview.signer, TITLE_CHARS)
    content: Json = {
        "image-uri": preview.image_uri,
        "version": plain.text(preview.version, TAG_CHARS),
        "is-upgrade": preview.is_upgrade,
        "architecture": preview.architecture,
        "virtualization": preview.virtualization,
        "signed-by": signed_by,
        "published-at": plain.iso(preview.published_s),
        "fetch": [
            {
                "kind": one.file.kind,
                "url": masked(one.file.url),
                "bytes": one.file.size_bytes,
                "cached": one.is_here,
            }
            for one in preview.files
        ],
        "fetch-bytes": preview.fetch_bytes,
        "peak-disk-bytes": preview.peak_disk_bytes,
        "free-bytes": preview.free_bytes,
        "enough-room": preview.has_room,
        "convert": list(preview.conversions),
        "register": [
            {"kind": kind, **({"shared-with": image_id} if image_id else {})}
            for kind, image_id in preview.register
        ],
        "steps": [plain.text(step, SUMMARY_CHARS) for step in preview.steps],
    }
    if preview.expires_s:
        content["expires-at"] = plain.iso(preview.expires_s)
    if preview.problem:
        content["problem"] = plain.text(preview.problem, SUMMARY_CHARS)
    return content
