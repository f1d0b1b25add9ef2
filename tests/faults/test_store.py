"""H1-H9 and P1-P3: whatever a store does, an install ends, and its error says which URL and why."""

from __future__ import annotations

import base64
import inspect
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.model.errors import FetchError
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.exchange import Limits
from tests.faults import tally
from tests.faults.faulty_store import BODY, HTML, Fault, Shop, shop, sound_document
from tests.faults.ground import at_rest, fake_cloud, problems, said_500
from tests.functional import test_curl as curl
from tests.functional import test_curl_errors as curl_errors
from tests.functional.faulty_server import Authority, FaultyServer, Page
from tests.functional.ports import free_port
from tests.functional.reactor_thread import in_reactor, running_reactor
from tests.functional.rig import SECRET, Daemon, State, wait_for

authority, fetchers = curl_errors.authority, curl_errors.fetchers
fetcher, hasty = curl.fetcher, curl.hasty


class Faced:
    """A daemon and what it runs against."""

    def __init__(self, directory: Path, api_url: str, *options: str) -> None:
        self.daemon = Daemon(
            directory,
            f"--api-url={api_url}",
            f"--fake-eucalyptus={SECRET}",
            "--debug",
            "--max-installs=64",
            *options,
        )

    def __enter__(self) -> Daemon:
        self.daemon.start()
        wait_for("an answer of the store", self.daemon.has_asked)
        return self.daemon

    def __exit__(self, *_: object) -> None:
        if self.daemon.running and self.daemon.running.poll() is None:
            self.daemon.end(signal.SIGKILL)


@pytest.fixture
def faulty_shop(tmp_path: Path) -> Iterator[Shop]:
    with shop(tmp_path / "shop") as made:
        yield made


def test_h9_every_fault_of_a_store_ends_installed_or_with_url_and_cause(
    tmp_path: Path, faulty_shop: Shop
) -> None:
    options = (f"--ca-bundle={faulty_shop.ca_file}",)
    with Faced(tmp_path, faulty_shop.api_url, *options) as daemon:
        uris = list(faulty_shop.faults)
        for uri in uris:
            daemon.act(uri, "install")
        states = at_rest(daemon, uris, within_s=110)
        wrong: list[str] = []
        for uri, fault in faulty_shop.faults.items():
            told = _judged(fault, states[uri], faulty_shop.file_urls[uri], uri)
            tally.record(fault.kind, told)
            if told not in tally.GOOD:
                wrong.append(f"{fault.kind}: {told}: {states[uri].get('error-message')}")
        for uri in uris:
            if "clear-error" in daemon.state(uri)["actions"]:
                daemon.act(uri, "clear-error")
        left = problems(daemon, fake_cloud(daemon)) + [str(path) for path in daemon.files()]
        count_500 = said_500(daemon)
        tally.record("store: all at once", tally.SERVED, leftovers=len(left), errors_500=count_500)
        daemon.end()
    assert not wrong + left
    assert not count_500


def _judged(fault: Fault, state: State, file_url: str, uri: str) -> str:
    """Give an outcome of ``tally``, or what is wrong with the state that it ended in."""
    if state["status"] == "installed":
        return tally.INSTALLED if fault.end in ("", tally.INSTALLED) else "installed all the same"
    message = str(state.get("error-message", ""))
    url = uri if fault.document else file_url
    if fault.end == tally.INSTALLED:
        return "not installed"
    if url not in message.replace("?again", ""):
        is_redirect = any(page.status == 302 for page in (*fault.file, *fault.document))
        if not is_redirect:
            return "the URL is not named"
    if fault.words not in message:
        return "the cause is not named"
    return "a traceback was shown" if "Traceback" in message else tally.CLEAN


ABSENT = "http://store.invalid/api"


def _dashboard(page: Page) -> FaultyServer:
    return FaultyServer({"/api/dashboard": page})


PAGES = {
    "HTML with status 200": (Page(HTML), "not as an image store does"),
    "cut off": (Page(b'{"images": []}', cut_after_bytes=5), ""),
    "status 500": (Page(status=500), "500"),
    "status 404": (Page(status=404), "no such file"),
    "3xx loop": (Page(status=302, headers={"Location": "/api/dashboard"}), "5 redirects"),
    "redirect to file:": (
        Page(status=302, headers={"Location": "file:///etc/passwd"}),
        "only http",
    ),
    "too much": (Page(bytes(65 * 2**20)), "67108864"),
    "deep JSON": (Page(b"[" * 100_000), "not as an image store does"),
}


@pytest.mark.parametrize("kind", PAGES)
def test_h1_a_broken_dashboard_is_told_with_its_url_and_nothing_else_stops(
    tmp_path: Path, kind: str
) -> None:
    page, words = PAGES[kind]
    with _dashboard(page) as server, Faced(tmp_path, server.url("/api")) as daemon:
        _tells(daemon, f"dashboard: {kind}", server.url("/api/dashboard"), words)


def _tells(daemon: Daemon, kind: str, url: str, words: str) -> None:
    """The dashboard answers, an install fails at once, and both say why."""
    message = daemon.proxy.get("/api/dashboard")["error-message"]
    uri = f"{url.removesuffix('/dashboard')}/images/1"
    daemon.act(uri, "install")
    state = daemon.wait(uri, "uninstalled")
    good = words in message and (url in message or "redirect" in kind) and state["error-message"]
    tally.record(kind, tally.CLEAN if good else "not told", errors_500=said_500(daemon))
    assert words in message
    assert good, message
    assert not daemon.files()


@pytest.mark.parametrize(
    ("kind", "words"),
    [("wrong name", "another name"), ("expired", "has expired"), ("unknown", "issued by")],
)
def test_h6_a_store_with_a_bad_certificate_is_told_with_why(
    tmp_path: Path, kind: str, words: str
) -> None:
    own, others = Authority(tmp_path), Authority(tmp_path, "Nobody's Authority")
    tls = own.server(
        "elsewhere.example" if kind == "wrong name" else "127.0.0.1",
        days=-1 if kind == "expired" else 1,
    )
    if kind == "unknown":
        tls = others.server("127.0.0.1")
    with FaultyServer({"/api/dashboard": Page(b"{}")}, tls=tls) as server:
        url = server.url("/api")
        with Faced(tmp_path, url, f"--ca-bundle={own.ca_file}") as daemon:
            _tells(daemon, f"dashboard: TLS, {kind}", f"{url}/dashboard", words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("name unknown", "has no address"), ("refuses", "refuses connections")],
    ids=["name unknown", "refuses"],
)
def test_h1_h2_a_store_that_is_not_there_is_told_with_why(
    tmp_path: Path, kind: str, words: str
) -> None:
    url = ABSENT if kind == "name unknown" else f"http://127.0.0.1:{free_port()}/api"
    with Faced(tmp_path, url) as daemon:
        _tells(daemon, f"dashboard: {kind}", f"{url}/dashboard", words)


PROXIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "wants a password": ({"proxy_user": "x"}, ABSENT, "wants a user and a password"),
    "wants a password for CONNECT": (
        {"proxy_user": "x"},
        ABSENT.replace("http", "https"),
        "wants a user and a password",
    ),
    "clear text after CONNECT": (
        {"clear_text_after_connect": True},
        ABSENT.replace("http", "https"),
        "clear text came where TLS was expected",
    ),
    "refuses CONNECT": ({}, ABSENT.replace("http", "https"), "refused the way"),
}


@pytest.mark.parametrize("kind", PROXIES)
def test_h4_h5_an_http_proxy_in_the_way_is_named(tmp_path: Path, kind: str) -> None:
    options, url, words = PROXIES[kind]
    with (
        FaultyServer(**options) as proxy,
        Faced(tmp_path, url, f"--http-proxy={proxy.url()}") as daemon,
    ):
        _tells(daemon, f"HTTP proxy: {kind}", f"{url}/dashboard", words)
        assert proxy.url().rstrip("/") in daemon.proxy.get("/api/dashboard")["error-message"]


def test_a_store_on_the_public_net_cannot_lead_to_a_local_address(tmp_path: Path) -> None:
    user = base64.b64encode(b"me:hidden").decode()
    uri, file_url = f"{ABSENT}/images/1", f"{ABSENT}/files/1"
    with FaultyServer({"/image.gz": Page(BODY)}) as local:
        pages = {
            "/api/dashboard": Page(b'{"images": [], "sections": []}'),
            "/api/images/1": Page(sound_document(uri, file_url)),
            "/api/files/1": Page(status=302, headers={"Location": local.url("/image.gz")}),
        }
        with FaultyServer(pages, proxy_user=user) as proxy:
            option = f"--http-proxy=http://me:hidden@127.0.0.1:{proxy.port}"
            with Faced(tmp_path, ABSENT, option) as daemon:
                daemon.act(uri, "install")
                message = daemon.wait(uri, "uninstalled")["error-message"]
                refused = "local address" in message and not local.requests
                tally.record("store: redirect to loopback", tally.CLEAN if refused else message)
                assert refused, message
                assert "hidden" not in message + daemon.said()


# What takes the daemon minutes, its limits being what they are: at the fetcher, with short ones.

ALREADY: dict[str, list[Callable[..., None]]] = {
    "fetcher: silence": [
        curl.test_p3_a_server_that_takes_the_connection_and_is_silent_does_not_hold_us,
        curl.test_p2_p3_a_stalled_download_ends_and_keeps_what_came,
        curl_errors.test_p3_a_silent_server_is_said_to_be_silent,
    ],
    "fetcher: cut off": [
        curl.test_p1_a_cut_off_download_keeps_what_came_and_resumes_by_range,
    ],
    "fetcher: HTTP proxy": [
        curl_errors.test_h4_an_unknown_http_proxy_is_named_as_the_proxy,
        curl_errors.test_h5_an_http_proxy_that_answers_a_tls_handshake_in_clear_text_is_told,
        curl_errors.test_h5_clear_text_after_connect_is_told,
    ],
    "fetcher: redirect to a local address": [
        curl_errors.test_a_redirect_to_a_local_address_is_refused_behind_an_http_proxy_too,
        curl_errors.test_a_name_that_leads_to_a_local_address_is_refused_when_it_is_connected_to,
    ],
}


@pytest.mark.skipif(not tally.LONG, reason="make test runs these tests where they are")
@pytest.mark.parametrize(
    ("kind", "known"), [(kind, one) for kind, ones in ALREADY.items() for one in ones]
)
def test_what_the_fetchers_own_tests_inject(
    request: pytest.FixtureRequest, kind: str, known: Callable[..., None]
) -> None:
    # Of what such a test is parametrized with, the last is taken.
    marks = getattr(known, "pytestmark", [])
    given = {mark.args[0]: mark.args[1][-1] for mark in marks if mark.name == "parametrize"}
    wanted = [name for name in inspect.signature(known).parameters if name not in given]
    known(**given, **{name: request.getfixturevalue(name) for name in wanted})
    tally.record(kind, tally.CLEAN)


def test_p3_one_byte_a_second_is_a_stall_and_ends() -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not ended.wait(0.2):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        sender = threading.Thread(target=trickle, daemon=True)
        sender.start()
        limits = Limits(connect_s=2.0, stall_bytes_per_s=100, stall_s=1, get_s=10.0)
        fetcher = CurlFetcher(running_reactor(), limits=limits, environment={})
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        sink = curl.MemorySink()

        async def run() -> None:
            await fetcher.download(url, sink, allow_local=True)

        with pytest.raises(FetchError, match="the transfer has stalled") as caught:
            in_reactor(run)
        ended.set()
        sender.join(5)
        fetcher.close()
    assert url in caught.value.message
    tally.record("fetcher: one byte a second", tally.CLEAN)
