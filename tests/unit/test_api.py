"""Every page of the UI API answers as the Store tab expects, and refuses in plain JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from imagestoreproxy.model.errors import (
    CallerError,
    Cancelled,
    DocumentError,
    FetchError,
    OwnStateError,
)
from imagestoreproxy.model.findings import Finding
from imagestoreproxy.model.installs import (
    Action,
    ImageState,
    Progress,
    Reconciliation,
    Status,
    Step,
)
from imagestoreproxy.web.present import image_id, image_uri_of
from tests.unit.memory_store import KARMIC, LUCID, MemorySite, action_path


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """All log events."""
    events: list[LogEvent] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)


def test_the_dashboard_has_images_states_and_sections() -> None:
    content = MemorySite().get("/api/dashboard").json
    assert content.keys() == {"images", "states", "sections"}
    assert [image["uri"] for image in content["images"]] == [KARMIC, LUCID]
    assert [state["image-uri"] for state in content["states"]] == [KARMIC, LUCID]
    assert content["sections"] == [
        {"title": "All", "summary": "Everything", "image-uris": [KARMIC, LUCID]}
    ]


def test_a_search_finds_what_matches_and_no_text_is_an_empty_one() -> None:
    site = MemorySite()
    found = site.get("/api/search", pairs=[("q", "10.04")]).json
    assert [image["uri"] for image in found["images"]] == [LUCID]
    assert len(site.get("/api/search", pairs=[("q", "")]).json["images"]) == 2
    assert len(site.get("/api/search").json["images"]) == 2
    assert found.keys() == {"images", "states", "sections"}
    assert site.get("/api/search", pairs=[("q", "x" * 501)]).status == 400


def test_states_are_those_asked_for_and_every_other_in_progress() -> None:
    site = MemorySite()
    assert site.post("/api/states").json == {"states": []}
    asked = [("image-uri", uri) for uri in (LUCID, KARMIC, LUCID)]
    content = site.post("/api/states", pairs=asked).json
    assert [state["image-uri"] for state in content["states"]] == [LUCID, KARMIC]
    assert "images" not in content
    site.post(action_path(KARMIC, "install"))
    content = site.post("/api/states", pairs=asked[:1]).json
    assert [state["image-uri"] for state in content["states"]] == [LUCID, KARMIC]
    assert [image["uri"] for image in content["images"]] == [KARMIC]
    assert "sections" not in content


def test_an_odd_image_uri_does_not_end_the_poll() -> None:
    site = MemorySite()
    odd = ["", "x", "ftp://x/", "http://x/é", "http://x/ y", "http://x/" + "y" * 2000]
    pairs = [("image-uri", uri) for uri in (*odd, KARMIC)]
    content = site.post("/api/states", pairs=pairs).json
    assert [state["image-uri"] for state in content["states"]] == [KARMIC]


def test_states_of_too_many_images_are_refused() -> None:
    pairs = [("image-uri", f"http://x/{n}") for n in range(5001)]
    assert MemorySite().post("/api/states", pairs=pairs).status == 413


def test_an_action_uri_of_a_state_works_and_gives_the_new_state() -> None:
    site = MemorySite()
    states = site.get("/api/dashboard").json["states"]
    assert states[0]["actions"] == {
        "install": f"http://localhost:52780{action_path(KARMIC, 'install')}"
    }
    path = states[1]["actions"]["install"].removeprefix("http://localhost:52780")
    state = site.post(path).json["state"]
    assert (state["image-uri"], state["status"]) == (LUCID, "downloading")
    assert state["actions"].keys() == {"cancel"}
    for action in ("cancel", "clear-error"):
        state = site.post(action_path(LUCID, action)).json["state"]
        assert state["status"] == "uninstalled"
    assert site.store.acted == [("install", LUCID), ("cancel", LUCID), ("clear-error", LUCID)]


def test_a_paused_image_is_downloading_to_the_store_tab_and_says_its_stage() -> None:
    site = MemorySite()
    paused = site.post(action_path(LUCID, "pause")).json["state"]
    assert (paused["status"], paused["stage"]) == ("downloading", "paused")
    assert paused["progress-percentage"] == 40
    base = "http://localhost:52780"
    assert paused["actions"] == {
        action: base + action_path(LUCID, action) for action in ("cancel", "resume")
    }
    assert "queue-position" not in paused
    polled = site.post("/api/states").json
    assert [image["uri"] for image in polled["images"]] == [LUCID], "it is under way to all others"
    waiting = site.post(action_path(LUCID, "resume")).json["state"]
    assert (waiting["stage"], waiting["queue-position"]) == ("waiting", 1)
    assert site.post(action_path(LUCID, "retry")).json["state"]["queue-position"] == 2
    assert [name for name, _ in site.store.acted] == ["pause", "resume", "retry"]


@pytest.mark.parametrize("action", ["pause", "resume", "retry"])
def test_the_ways_to_pause_and_resume_are_only_for_post(action: str) -> None:
    site = MemorySite()
    assert site.get(action_path(LUCID, action)).status == 405
    assert not site.store.acted


def test_one_image_has_its_own_page() -> None:
    content = MemorySite().get(action_path(LUCID)).json
    assert content["image"]["title"] == "Ubuntu 10.04"
    assert content["state"]["status"] == "uninstalled"
    reply = MemorySite().get(action_path("http://x/unknown"))
    assert reply.status == 404
    assert "http://x/unknown" in reply.error


@pytest.mark.parametrize(
    "uri", [KARMIC, LUCID, "https://a/~?~>", "http://x", "http://x/" + "y" * 9]
)
def test_an_image_address_holds_its_uri(uri: str) -> None:
    assert image_uri_of(image_id(uri).encode()) == uri
    assert image_id(uri).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"!",
        b"x",
        b"%",
        b"\xff\xfe",
        image_id(KARMIC).encode() + b"=",
        image_id(KARMIC).encode() + b"\n",
        image_id(KARMIC + "\n").encode(),
        image_id("ftp://x/").encode(),
        image_id("http://x/ y").encode(),
        image_id("http://x/é").encode(),
        image_id("http://x/" + "y" * 2000).encode(),
        # The same bytes, written in another way.
        image_id("http://x").encode()[:-1] + b"B",
    ],
)
def test_any_other_address_is_no_image(name: bytes) -> None:
    with pytest.raises(CallerError) as caught:
        image_uri_of(name)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/dashboard/", 404),
        ("GET", "/api/dashboard/x", 404),
        ("GET", "/api/nothing", 404),
        ("GET", "/api/images", 404),
        ("GET", "/api/images/", 404),
        ("GET", "/api/images/zzz", 404),
        ("POST", "/api/images/zzz/install", 404),
        ("POST", action_path(KARMIC, "explode"), 404),
        ("POST", action_path(KARMIC, "install") + "/x", 404),
        ("POST", "/api/dashboard", 405),
        ("POST", "/api/search", 405),
        ("GET", "/api/states", 405),
        ("POST", action_path(KARMIC), 405),
        ("GET", action_path(KARMIC, "install"), 405),
    ],
)
def test_what_is_not_there_is_404_and_what_is_there_for_another_method_405(
    method: str, path: str, status: int
) -> None:
    site = MemorySite()
    reply = site.ask(site.signed(method, path))
    assert reply.status == status
    assert reply.json.keys() == {"error-message"}
    assert reply.headers["content-type"] == "application/json"
    assert ("allow" in reply.headers) == (status == 405)
    assert site.store.acted == []


def test_uninstall_and_forget_take_an_image_out() -> None:
    site = MemorySite()
    for action in ("uninstall", "forget"):
        state = site.post(action_path(LUCID, action)).json["state"]
        assert (state["image-uri"], state["status"]) == (LUCID, "uninstalled")
    assert site.store.acted == [("uninstall", LUCID)] * 2


def test_h11_a_comparison_with_the_cloud_can_be_asked_for() -> None:
    site = MemorySite()
    site.store.found = Reconciliation(
        3, (KARMIC,), (LUCID,), ("image-store-\ud800",), "S3 is slow."
    )
    raw = site.signed("POST", "/api/reconcile")
    assert site.ask(raw).json == {
        "reconciliation": {
            "checked": 3,
            "gone": [KARMIC],
            "back": [LUCID],
            "strangers": ["image-store-?"],
            "problem": "S3 is slow.",
        }
    }
    assert site.ask(raw).status == 200
    assert site.store.acted == [("reconcile", "")]
    assert site.get("/api/reconcile").status == 405
    site.store.trouble = FetchError("no")
    assert site.post("/api/reconcile").status == 503


READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
FINDINGS = (
    Finding("disk", note="/var/lib/x: 5 GiB free"),
    Finding("S3", "http://10.0.0.1:8773/ does not answer."),
)


def test_h8_readiness_is_told_to_strangers_without_addresses_and_to_clients_with() -> None:
    site = MemorySite(findings=FINDINGS)
    reply = site.ask(READY)
    assert (reply.status, reply.json) == (
        503,
        {
            "ready": False,
            "findings": [{"what": "disk", "ok": True}, {"what": "S3", "ok": False}],
            "error-message": "Not ready: S3.",
        },
    )
    reply = site.get("/readyz")
    assert reply.status == 503
    assert reply.json["findings"] == [
        {"what": "disk", "ok": True, "note": "/var/lib/x: 5 GiB free"},
        {"what": "S3", "ok": False, "problem": "http://10.0.0.1:8773/ does not answer."},
    ]
    reply = site.get("/readyz", secret="wrong")
    assert reply.status == 401
    assert reply.json.keys() == {"error-message"}
    reply = MemorySite(findings=FINDINGS[:1]).ask(READY)
    assert (reply.status, reply.json["ready"]) == (200, True)
    assert "error-message" not in reply.json


def test_health_is_answered_unsigned() -> None:
    site = MemorySite()
    reply = site.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    reply = site.ask(b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    assert reply.status == 405


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CallerError("It is being removed.", 409), 409),
        (FetchError("Could not resolve host store.example."), 503),
        (FetchError("The store answered 404.", retry_helps=False, status=404), 502),
        (DocumentError("The document has expired."), 502),
        (Cancelled(), 503),
        (OwnStateError("The database is read-only."), 503),
    ],
)
def test_h1_a_failure_is_told_in_its_own_words(error: Exception, status: int) -> None:
    site = MemorySite()
    site.store.trouble = error
    for reply in (
        site.get("/api/dashboard"),
        site.post("/api/states"),
        site.post(action_path(KARMIC, "install")),
    ):
        assert reply.status == status
        assert reply.error == (str(error) or "The proxy is being stopped; ask again soon.")


def test_h10_an_unforeseen_failure_is_one_plain_sentence_and_its_traceback_is_logged_once(
    logged: list[LogEvent],
) -> None:
    site = MemorySite()
    site.store.trouble = ZeroDivisionError("inner matter")
    reply = site.get("/api/dashboard")
    assert reply.status == 500
    assert reply.error == "The proxy failed unexpectedly; its log has the details."
    assert b"Traceback" not in reply.body
    assert b"inner" not in reply.body
    failures = [event["log_failure"] for event in logged if "log_failure" in event]
    assert len(failures) == 1
    assert failures[0].check(ZeroDivisionError)


def test_a_client_that_goes_away_is_no_error(logged: list[LogEvent]) -> None:
    from twisted.internet.defer import Deferred

    site = MemorySite()
    gate: Deferred[None] = Deferred()
    site.store.gate = gate
    wire = site.wire()
    wire.send(site.signed("GET", "/api/dashboard"))
    wire.lose()
    gate.callback(None)
    assert wire.replies() == []
    assert not [event for event in logged if "log_failure" in event]


def test_text_from_outside_goes_out_in_ascii_only() -> None:
    site = MemorySite()
    site.store.state_of[KARMIC] = ImageState(
        KARMIC, Status.UNINSTALLED, (Action.INSTALL,), error_message="Größe 😀 \ud800"
    )
    reply = site.get("/api/dashboard")
    assert reply.body.isascii()
    assert reply.json["states"][0]["error-message"] == "Größe 😀 ?"


def test_action_uris_begin_with_the_host_of_the_request_and_a_port() -> None:
    site = MemorySite()
    for host, base in (
        ("Proxy.example", "http://Proxy.example:80"),
        ("[::1]", "http://localhost:80"),
    ):
        signed_host = {"host": host}
        states = site.get("/api/dashboard", **signed_host).json["states"]
        assert states[0]["actions"]["install"].startswith(f"{base}/api/images/")


def test_a_request_to_an_ipv6_address_gets_no_action_uri_and_is_told_why() -> None:
    site = MemorySite()
    for reply in (
        site.get("/api/dashboard", host="[2001:db8::1]:52780"),
        site.post("/api/states", pairs=[("image-uri", KARMIC)], host="[2001:db8::1]:52780"),
    ):
        assert [state["actions"] for state in reply.json["states"]] in ([{}, {}], [{}])
        assert "--external-url" in reply.error
    assert "--external-url" in site.get(action_path(KARMIC), host="[2001:db8::1]").error


def test_action_uris_begin_with_the_configured_url_where_there_is_one() -> None:
    site = MemorySite(external_url="https://store.example/")
    states = site.get("/api/dashboard").json["states"]
    assert states[0]["actions"]["install"].startswith("https://store.example:443/api/images/")


def test_p10_a_state_in_progress_tells_bytes_rate_and_time_left() -> None:
    site = MemorySite()
    progress = Progress(Step.UPLOADING, 61, 610, 1000, 12.6, 30.4)
    site.store.state_of[KARMIC] = ImageState(
        KARMIC, Status.INSTALLING, (Action.CANCEL,), progress, emi="emi-1", updated_at_s=5.5
    )
    (state,) = site.post("/api/states").json["states"]
    assert state == {
        "image-uri": KARMIC,
        "status": "installing",
        "actions": {"cancel": f"http://localhost:52780{action_path(KARMIC, 'cancel')}"},
        "is-upgrade": False,
        "progress-percentage": 61,
        "stage": "uploading",
        "bytes-done": 610,
        "bytes-total": 1000,
        "bytes-per-second": 13,
        "eta-seconds": 30,
        "updated-at": 5,
    }
