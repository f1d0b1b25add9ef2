"""``GET /api/openapi.json``: what the API is, as OpenAPI 3.1; kept beside this file."""

# mypy: allow-untyped-calls

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from imagestoreproxy import __version__
from imagestoreproxy.web.answers import Answer, JsonResource, StoreRequest, encode

FILE = "openapi.json"


def api_document() -> dict[str, Any]:
    """Give the document, with the version of this software as that of the API."""
    text = files("imagestoreproxy.web").joinpath(FILE).read_text("ascii")
    document: dict[str, Any] = json.loads(text)
    document["info"]["version"] = __version__
    return document


class ApiDocument(JsonResource):
    """Everybody may read it: it says nothing of this proxy or its images."""

    def __init__(self) -> None:
        super().__init__()
        self._body = encode(api_document())

    async def whole(self, request: StoreRequest) -> Answer:
        return Answer(200, self._body)
