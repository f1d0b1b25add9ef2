"""Writes docs/api-reference.md from the document that the daemon serves; --check only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imagestoreproxy.web.pages.apidocument import api_document

TARGET = Path(__file__).parents[1] / "docs" / "api-reference.md"
METHODS = ("get", "post")

Json = Mapping[str, Any]


def reference(document: Json) -> str:
    """Give the whole page."""
    return "\n".join([*_head(document), *_operations(document), *_schemas(document), ""])


def _head(document: Json) -> Iterator[str]:
    yield "# API reference"
    yield ""
    yield (
        "Made from `imagestoreproxy/web/openapi.json`, which every daemon serves at "
        "`/api/openapi.json`, by `tools/make_api.py`; a test keeps the two in step. "
        "How to sign and how to log in: [api.md](api.md)."
    )
    yield ""
    yield str(document["info"]["description"])


def _operations(document: Json) -> Iterator[str]:
    for tag in document["tags"]:
        yield from ("", f"## {tag['name']}", "", str(tag["description"]))
        for path, item in document["paths"].items():
            for method in METHODS:
                operation = item.get(method)
                if operation and tag["name"] in operation["tags"]:
                    yield from _operation(document, path, method, item, operation)


def _operation(
    document: Json, path: str, method: str, item: Json, operation: Json
) -> Iterator[str]:
    yield from ("", f"### `{method.upper()} {path}`", "", f"{operation['summary']}.")
    if "description" in operation:
        yield str(operation["description"])
    given = [_resolved(document, one) for one in operation.get("parameters", ())]
    rows = [(one["name"], one["schema"], one.get("description", "")) for one in given]
    form = operation.get("requestBody", {}).get("content", {})
    for body in form.values():
        rows += [(key, one, one.get("description", "")) for key, one in _properties(body["schema"])]
    if rows:
        yield from ("", "| parameter | | what |", "|---|---|---|")
        yield from (f"| `{name}` | {_type(schema)} | {what} |" for name, schema, what in rows)
    yield ""
    yield "Answer: " + "; ".join(_answers(operation)) + "." + _who(document, operation)


def _answers(operation: Json) -> Iterator[str]:
    for status, response in operation["responses"].items():
        if status != "default":
            for kind, content in response["content"].items():
                shape = _shape(content["schema"])
                where = f"{status}, " if len(operation["responses"]) > 2 else ""
                yield where + (shape if kind == "application/json" else f"`{kind}`")


def _who(document: Json, operation: Json) -> str:
    security = operation.get("security", document["security"])
    if security == document["security"]:
        return ""
    if not security:
        return " Nothing has to be signed."
    if {} in security:
        return " It need not be signed."
    return f" Needs the {' or the '.join(name for one in security for name in one)}."


def _schemas(document: Json) -> Iterator[str]:
    yield from ("", "## Objects")
    for name, schema in document["components"]["schemas"].items():
        yield from ("", f"### {name}", "")
        if "description" in schema:
            yield from (str(schema["description"]), "")
        yield from ("| key | | what |", "|---|---|---|")
        required = schema.get("required", ())
        for key, one in _properties(schema):
            mark = "" if key in required else ", may be absent"
            yield f"| `{key}` | {_type(one)}{mark} | {one.get('description', '')} |"


def _properties(schema: Json, prefix: str = "") -> Iterator[tuple[str, Json]]:
    for key, one in schema.get("properties", {}).items():
        yield prefix + key, one
        inner = one.get("items", one)
        if "properties" in inner:
            mark = "[]." if "items" in one else "."
            yield from _properties(inner, f"{prefix}{key}{mark}")


def _shape(schema: Json) -> str:
    if "$ref" in schema:
        return _link(schema)
    keys = [f"`{key}` ({_type(one)})" for key, one in schema.get("properties", {}).items()]
    return ", ".join(keys) or "an object"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return _link(schema)
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{str(schema['const']).lower()}`"
    if schema["type"] == "array":
        inner = schema["items"]
        return f"list of {_link(inner) if '$ref' in inner else inner['type'] + 's'}"
    if schema.get("format") == "date-time":
        return "time"
    return str(schema["type"])


def _link(schema: Json) -> str:
    name = schema["$ref"].rpartition("/")[2]
    return f"[{name}](#{name.lower()})"


def _resolved(document: Json, parameter: Json) -> Json:
    if "$ref" not in parameter:
        return parameter
    found: Json = document["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
    return found


if __name__ == "__main__":
    page = reference(api_document())
    if "--check" not in sys.argv:
        TARGET.write_text(page)
    sys.exit(TARGET.read_text() != page)
