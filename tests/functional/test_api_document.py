"""The running daemon answers as its own description says, whatever schemathesis asks."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from imagestoreproxy.model.signing import signed_pairs
from imagestoreproxy.web.pages.apidocument import api_document
from imagestoreproxy.web.present import image_id
from tests.functional.described import assert_described
from tests.functional.rig import CLIENT_ID, SECRET, Rig, fake_rig

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 8  # beside what schemathesis thinks of by itself: as many again for most pages

document = api_document()
schema = schemathesis.openapi.from_dict(document)


class Signed(requests.auth.AuthBase):
    """Signs a request as it is about to be sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert request.url and request.method
        parts = urlsplit(request.url)
        is_get = request.method == "GET"
        body = cast(bytes | str, request.body or "")
        raw = parts.query if is_get else body if isinstance(body, str) else body.decode()
        pairs = signed_pairs(
            SECRET,
            CLIENT_ID,
            request.method,
            parts.netloc,
            parts.path,
            parse_qsl(raw, keep_blank_values=True),
            now_s=time.time(),
            nonce=str(secrets.randbits(63)),
        )
        if is_get:
            request.url = parts._replace(query=urlencode(pairs)).geturl()
        else:
            request.prepare_body(urlencode(pairs), None)
            request.headers["Content-Type"] = "application/x-www-form-urlencoded"
        return request


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Rig]:
    """A daemon with an image installed, so that there is something to describe."""
    directory = tmp_path_factory.mktemp("api")
    with fake_rig(directory, images, "--share-cache") as made:
        yield made


@pytest.fixture(scope="module")
def known(rig: Rig) -> list[str]:
    """Three images: one that is installed, one that anything may happen to, and one untouched."""
    images = [image["uri"] for image in rig.daemon.proxy.get("/api/dashboard")["images"]]
    rig.daemon.act(images[0], "install")
    rig.daemon.wait(images[0], "installed")
    return [image_id(uri) for uri in images[:3]]


asked = schema.exclude(path_regex="^/api/(events|session)")


@asked.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_it_answers_as_described(case: Any, rig: Rig, known: list[str]) -> None:
    given = dict(case.path_parameters or {})
    if re.fullmatch("[A-Za-z0-9_-]{12,2700}", str(given.get("id", ""))):
        # Ids that name an image are not found by chance.
        given["id"] = known[len(given["id"]) % 2]
        case.path_parameters = given
    url = f"http://127.0.0.1:{rig.daemon.port}"
    answer = case.call(base_url=url, auth=Signed(), timeout=30)
    # One odd URI must not end the poll of all others.
    lenient = case.path == "/api/states"
    checks = [one for one in CHECKS if not (lenient and one is negative_data_rejection)]
    case.validate_response(answer, checks=checks)
    assert "Traceback" not in answer.text


def test_what_is_seen_in_passing_is_described(rig: Rig, known: list[str]) -> None:
    """An image while it is being installed, and what is told of it afterwards."""
    proxy, path = rig.daemon.proxy, f"/api/images/{known[2]}"
    rig.store.control(fault="slow", rate=2_000_000)
    assert_described(proxy.post(f"{path}/install"), "/api/images/{id}/install", "post")
    seen: list[str] = []
    while not seen or seen[-1] in {"downloading", "installing"}:
        answer = proxy.get(path)
        assert_described(answer, "/api/images/{id}")
        seen.append(answer["state"]["status"])
        time.sleep(0.05)
    assert seen[-1] == "installed"
    assert len(seen) > 5
    assert_described(proxy.get(f"{path}/history"), "/api/images/{id}/history")


PAGES = [
    (method, path)
    for path, item in document["paths"].items()
    for method in ("get", "post")
    if method in item and path != "/api/events"
]


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_what_is_described_is_there_and_open_to_whom_it_says(
    method: str, path: str, rig: Rig, known: list[str]
) -> None:
    security = document["paths"][path][method].get("security", document["security"])
    digest = "0" * 64
    where = path.replace("{sha256}", digest).replace("{digest}", digest).replace("{id}", "aHR0")
    url = f"http://127.0.0.1:{rig.daemon.port}{where}"
    unsigned = requests.request(method, url, timeout=30)
    assert (unsigned.status_code == 401) == (security != [] and {} not in security)
    signed = requests.request(method, url, auth=Signed(), timeout=30)
    assert "nothing at this address" not in signed.text
