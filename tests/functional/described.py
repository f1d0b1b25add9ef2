"""Whether an answer is what the API document says of it."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from imagestoreproxy.web.pages.apidocument import api_document

DOCUMENT = api_document()


def assert_described(content: object, path: str, method: str = "get", status: str = "200") -> None:
    """Compare a JSON answer with the schema of its page."""
    response: Any = DOCUMENT["paths"][path][method]["responses"][status]
    schema = response["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = [
        f"{list(error.instance_path)}: {error.message}"
        for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(content)
    ]
    assert errors == []
