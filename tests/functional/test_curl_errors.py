"""What a failed fetch says: every message names URL, address, HTTP proxy and cause."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pycurl
import pytest

from imagestoreproxy import ports
from imagestoreproxy.model.errors import Cancelled, FetchError, SettingsError
from imagestoreproxy.outside.curl import CurlFetcher
from imagestoreproxy.outside.exchange import Answer, Limits, Request
from imagestoreproxy.outside.neterrors import network_error, status_error
from tests.functional.faulty_server import (
    Authority,
    FaultyServer,
    Page,
    SilentServer,
)
from tests.functional.ports import free_port
from tests.functional.reactor_thread import in_reactor, running_reactor

ORDINARY = Limits()


class Fetchers:
    """Makes fetchers, and closes them at the end."""

    def __init__(self) -> None:
        self._made: list[CurlFetcher] = []

    def get(
        self,
        url: str,
        *,
        http_proxy: str = "",
        ca_bundle: str = "",
        environment: Mapping[str, str] | None = None,
        allow_local: bool = True,
        limits: Limits = ORDINARY,
    ) -> ports.Fetched:
        fetcher = CurlFetcher(
            running_reactor(),
            limits=limits,
            http_proxy=http_proxy,
            ca_bundle=ca_bundle,
            environment=environment or {},
        )
        self._made.append(fetcher)

        async def run() -> ports.Fetched:
            return await fetcher.get(url, limit_bytes=100_000, allow_local=allow_local)

        return in_reactor(run)

    def close(self) -> None:
        for fetcher in self._made:
            fetcher.close()


@pytest.fixture
def fetchers() -> Iterator[Fetchers]:
    made = Fetchers()
    yield made
    made.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def error_of(fetchers: Fetchers, url: str, **options: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetchers.get(url, **options)  # type: ignore[arg-type]
    return caught.value


def test_h1_h2_an_unknown_name_is_named_with_its_url_and_this_network(fetchers: Fetchers) -> None:
    error = error_of(fetchers, "http://store.invalid/api/dashboard")
    assert error.retry_helps
    for words in ("http://store.invalid/api/dashboard", "store.invalid has no address", "DNS"):
        assert words in error.message


def test_h4_an_unknown_http_proxy_is_named_as_the_proxy(fetchers: Fetchers) -> None:
    error = error_of(fetchers, "http://store.invalid/", http_proxy="http://proxy.invalid:3128")
    assert "HTTP proxy http://proxy.invalid:3128" in error.message
    assert "the name proxy.invalid of the HTTP proxy has no address" in error.message


def test_h9_every_network_error_names_url_address_proxy_and_cause(fetchers: Fetchers) -> None:
    port = free_port()
    direct = error_of(fetchers, f"http://127.0.0.1:{port}/x").message
    assert f"http://127.0.0.1:{port}/x (address 127.0.0.1, no HTTP proxy)" in direct
    assert "the server 127.0.0.1 refuses connections" in direct
    proxied = error_of(
        fetchers, "http://store.invalid/x", http_proxy=f"http://u:secret@127.0.0.1:{port}"
    ).message
    assert f"(address 127.0.0.1, HTTP proxy http://***@127.0.0.1:{port})" in proxied
    assert "the HTTP proxy 127.0.0.1 refuses connections" in proxied


@pytest.mark.parametrize("code", range(1, 100))
def test_h9_whatever_libcurl_says_url_address_proxy_and_cause_are_named(code: int) -> None:
    request = Request("http://u:secret@store/x?token=secret", "http://u:secret@proxy:1", False)
    answer = Answer(code=code, text="some words of http://u:secret@store/", address="192.0.2.7")
    message = network_error(request, answer, Limits()).message
    assert "http://***@store/x?token=*** (address 192.0.2.7, HTTP proxy http://***@proxy:1):" in (
        message
    )
    assert "secret" not in message
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ECONNREFUSED, "the network works, but nothing listens"),
        (errno.EHOSTUNREACH, "No route to host); check this machine's network"),
        (errno.ENETUNREACH, "Network is unreachable); check this machine's network"),
    ],
)
def test_h2_your_network_is_told_from_the_store(number: int, words: str) -> None:
    request = Request("http://store/x", "", False)
    answer = Answer(code=pycurl.E_COULDNT_CONNECT, os_errno=number, address="192.0.2.7")
    assert words in network_error(request, answer, Limits()).message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "user and a password"),
        (403, "forbids"),
        (404, "no such file"),
        (407, "HTTP proxy wants a user"),
        (429, "too often"),
        (500, "problem of its own"),
        (418, "status 418"),
    ],
)
def test_an_http_status_comes_with_a_hint(status: int, words: str) -> None:
    error = status_error(Request("http://store/x", "", False), Answer(status=status))
    assert error.status == status
    assert words in error.message


def test_p3_a_silent_server_is_said_to_be_silent(fetchers: Fetchers) -> None:
    with SilentServer() as server:
        limits = Limits(connect_s=1.0)
        message = error_of(fetchers, f"https://127.0.0.1:{server.port}/", limits=limits).message
    assert "within 1 s" in message
    assert "the server 127.0.0.1" in message


@pytest.mark.parametrize(
    ("host", "port_of"), [("127.0.0.1", 1), ("localhost", 1), ("[::1]", 0), ("127.1", 0)]
)
def test_a_source_on_the_public_net_may_not_name_a_local_address(
    fetchers: Fetchers, host: str, port_of: int
) -> None:
    with FaultyServer({"/": Page(b"secret")}) as server:
        url = f"http://{host}:{server.port if port_of else 80}/"
        for proxy in ("", server.url()):
            error = error_of(fetchers, url, allow_local=False, http_proxy=proxy)
            assert "local address" in error.message
            assert not error.retry_helps
    assert server.requests == []


def test_a_name_that_leads_to_a_local_address_is_refused_when_it_is_connected_to(
    fetchers: Fetchers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands for a public name with a private address: the check before the request lets it pass.
    monkeypatch.setattr("imagestoreproxy.outside.curl.is_local_host", lambda host: False)
    with FaultyServer({"/": Page(b"secret")}) as server:
        error = error_of(fetchers, server.url(host="localhost"), allow_local=False)
    assert "localhost has the local address" in error.message
    assert server.requests == []


def test_a_redirect_to_a_local_address_is_refused_behind_an_http_proxy_too(
    fetchers: Fetchers,
) -> None:
    leads_inside = Page(status=302, headers={"Location": "http://127.0.0.1:1/secret"})
    with FaultyServer({"/": leads_inside}) as proxy:
        error = error_of(
            fetchers, "http://store.invalid/", http_proxy=proxy.url(), allow_local=False
        )
    assert "http://127.0.0.1:1/secret" in error.message
    assert "local address" in error.message
    assert [asked.path for asked in proxy.requests] == ["http://store.invalid/"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://h/x"])
def test_a_redirect_to_another_protocol_is_refused(fetchers: Fetchers, target: str) -> None:
    with FaultyServer({"/": Page(status=302, headers={"Location": target})}) as server:
        error = error_of(fetchers, server.url())
    assert f"Cannot fetch {target}" in error.message
    assert "only http:// and https:// are taken" in error.message
    assert not error.retry_helps


def test_redirects_end_after_five(fetchers: Fetchers) -> None:
    with FaultyServer({"/": Page(status=302, headers={"Location": "/"})}) as server:
        error = error_of(fetchers, server.url())
    assert "more than 5 redirects" in error.message
    assert len(server.requests) == 6


def test_five_redirects_are_followed(fetchers: Fetchers) -> None:
    pages = {f"/{n}": Page(status=301, headers={"Location": f"/{n + 1}"}) for n in range(5)}
    with FaultyServer({**pages, "/5": Page(b"here")}) as server:
        assert fetchers.get(server.url("/0")).body == b"here"


@pytest.mark.parametrize(
    "url", ["http://", "file:///etc/passwd", "http://h/a b", "http://h/ü", "http://[::1", "x" * 9,
            "http://h/\r\nX: 1", "http://a\\@b/", "http://h/" + "x" * 5000]
)  # fmt: skip
def test_senseless_urls_are_refused_before_anything_is_asked(fetchers: Fetchers, url: str) -> None:
    error = error_of(fetchers, url)
    assert not error.retry_helps
    assert "\n" not in error.message


def test_h6_h7_an_unknown_issuer_is_named_with_the_ca_file(
    fetchers: Fetchers, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "Another Authority")
    other.server("127.0.0.1")
    with FaultyServer({"/": Page(b"x")}, tls=authority.server("127.0.0.1")) as server:
        message = error_of(fetchers, server.url(), ca_bundle=str(other.ca_file)).message
        assert fetchers.get(server.url(), ca_bundle=str(authority.ca_file)).body == b"x"
    for words in ("127.0.0.1", "issued by CN", "Test Authority", str(other.ca_file), "--ca-bundle"):
        assert words in message
    assert len(server.requests) == 1  # the look at the certificate has sent nothing


def test_h6_p12_a_changed_ca_bundle_is_read_again_without_a_restart(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "Another Authority")
    other.server("127.0.0.1")
    tls = authority.server("127.0.0.1")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(other.ca_file.read_bytes())
    limits = Limits(ca_cache_s=0)
    fetcher = CurlFetcher(running_reactor(), limits=limits, ca_bundle=str(bundle), environment={})

    async def run() -> bytes:
        return (await fetcher.get(server.url(), limit_bytes=9, allow_local=True)).body

    with FaultyServer({"/": Page(b"x")}, tls=tls) as server:
        with pytest.raises(FetchError, match="issued by nobody"):
            in_reactor(run)
        bundle.write_bytes(authority.ca_file.read_bytes())
        assert in_reactor(run) == b"x"
        bundle.write_bytes(other.ca_file.read_bytes())
        with pytest.raises(FetchError, match="issued by nobody"):
            in_reactor(run)
    fetcher.close()


def test_h6_a_certificate_for_another_name_is_said_to_be_so(
    fetchers: Fetchers, authority: Authority
) -> None:
    with FaultyServer({"/": Page(b"x")}, tls=authority.server("elsewhere.example")) as server:
        message = error_of(fetchers, server.url(), ca_bundle=str(authority.ca_file)).message
    assert "certificate of 127.0.0.1" in message
    assert "is for another name" in message


def test_h6_an_expired_certificate_is_said_to_be_expired(
    fetchers: Fetchers, authority: Authority
) -> None:
    with FaultyServer({"/": Page(b"x")}, tls=authority.server("127.0.0.1", days=-1)) as server:
        message = error_of(fetchers, server.url(), ca_bundle=str(authority.ca_file)).message
    assert "has expired" in message
    assert "valid until" in message


def test_h7_the_system_store_of_certificates_is_found() -> None:
    fetcher = CurlFetcher(running_reactor(), environment={})
    assert fetcher._ca is None or os.access(fetcher._ca, os.R_OK)
    fetcher.close()


def test_h7_a_ca_bundle_that_cannot_be_read_is_a_matter_of_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--ca-bundle"):
        CurlFetcher(running_reactor(), ca_bundle=str(tmp_path / "none.pem"), environment={})


def test_https_to_a_server_that_speaks_http_is_told(fetchers: Fetchers) -> None:
    with FaultyServer({"/": Page(b"x")}) as server:
        message = error_of(fetchers, server.url().replace("http:", "https:")).message
    assert "127.0.0.1 answered in clear text where TLS was expected" in message


def test_h5_https_goes_through_connect_and_is_checked_end_to_end(
    fetchers: Fetchers, authority: Authority
) -> None:
    tls = authority.server("store.invalid")
    with (
        FaultyServer({"/": Page(b"x")}, tls=tls) as server,
        FaultyServer(connect_to=("127.0.0.1", server.port)) as proxy,
    ):
        for name in ("https_proxy", "HTTPS_PROXY"):
            got = fetchers.get(
                "https://store.invalid/",
                ca_bundle=str(authority.ca_file),
                environment={name: proxy.url()},
                allow_local=False,
            )
            assert got.body == b"x"
            assert not got.from_local
    assert {(asked.method, asked.path) for asked in proxy.requests} == {
        ("CONNECT", "store.invalid:443")
    }


def test_h5_an_http_proxy_may_itself_be_spoken_to_in_tls(
    fetchers: Fetchers, authority: Authority
) -> None:
    with FaultyServer({"/": Page(b"x")}, tls=authority.server("127.0.0.1")) as proxy:
        got = fetchers.get(
            "http://store.invalid/", ca_bundle=str(authority.ca_file), http_proxy=proxy.url()
        )
    assert got.body == b"x"


def test_h5_an_http_proxy_that_answers_a_tls_handshake_in_clear_text_is_told(
    fetchers: Fetchers,
) -> None:
    with FaultyServer() as proxy:
        url = proxy.url().replace("http:", "https:")
        message = error_of(fetchers, "https://store.invalid/", http_proxy=url).message
    assert "the HTTP proxy 127.0.0.1 answered in clear text" in message
    assert "http:// instead of https://" in message


def test_h5_clear_text_after_connect_is_told(fetchers: Fetchers) -> None:
    with FaultyServer(clear_text_after_connect=True) as proxy:
        message = error_of(fetchers, "https://store.invalid/", http_proxy=proxy.url()).message
    assert "then clear text came where TLS was expected" in message
    assert f"HTTP proxy {proxy.url()}" in message


def test_an_http_proxy_that_refuses_connect_is_told(fetchers: Fetchers) -> None:
    with FaultyServer() as proxy:
        message = error_of(fetchers, "https://store.invalid/", http_proxy=proxy.url()).message
    assert "refused the way (CONNECT) to store.invalid with the status 403" in message


@pytest.mark.parametrize("url", ["http://store.invalid/", "https://store.invalid/"])
def test_an_http_proxy_that_wants_a_password_is_told(fetchers: Fetchers, url: str) -> None:
    with FaultyServer({"/": Page(b"x")}, proxy_user="x") as proxy:
        error = error_of(fetchers, url, http_proxy=proxy.url())
    assert "wants a user and a password" in error.message
    assert not error.retry_helps


def test_user_and_password_of_the_http_proxy_are_used_and_never_shown(fetchers: Fetchers) -> None:
    user = base64.b64encode(b"me:secret").decode()
    with FaultyServer({"/": Page(b"x")}, proxy_user=user) as proxy:
        url = f"http://me:secret@127.0.0.1:{proxy.port}"
        assert fetchers.get("http://store.invalid/", http_proxy=url).body == b"x"
        message = error_of(fetchers, "http://store.invalid/none", http_proxy=url).message
    assert "404" in message
    assert "secret" not in message


def test_no_proxy_is_kept_to_by_every_hop(fetchers: Fetchers) -> None:
    with FaultyServer({"/here": Page(b"direct")}) as server:
        leads_near = Page(status=302, headers={"Location": server.url("/here")})
        with FaultyServer({"/": leads_near}) as proxy:
            environment = {"http_proxy": proxy.url(), "no_proxy": "127.0.0.1"}
            got = fetchers.get("http://10.1.2.3/", environment=environment)
    assert got.body == b"direct"
    assert len(proxy.requests) == len(server.requests) == 1


def test_h4_the_configured_http_proxy_can_be_shown_without_its_password() -> None:
    fetcher = CurlFetcher(running_reactor(), http_proxy="http://u:secret@proxy:1", environment={})
    assert fetcher.proxy_for("http://store/") == "http://***@proxy:1"
    fetcher.close()


def test_a_password_in_the_url_is_used_and_never_shown(fetchers: Fetchers) -> None:
    with FaultyServer({"/": Page(b"x")}) as server:
        url = server.url(host="me:secret@127.0.0.1")
        assert fetchers.get(url).body == b"x"
        assert server.requests[0].headers["authorization"].startswith("Basic ")
        message = error_of(fetchers, f"{url}none").message
    assert "secret" not in message


def test_siblings_have_an_http_proxy_and_cas_of_their_own_in_one_thread(
    authority: Authority,
) -> None:
    first = CurlFetcher(running_reactor(), environment={})

    def body(fetcher: CurlFetcher, url: str) -> bytes:
        async def run() -> bytes:
            return (await fetcher.get(url, limit_bytes=1000, allow_local=True)).body

        return in_reactor(run)

    with (
        FaultyServer({"/x": Page(b"plain")}) as plain,
        FaultyServer({"/x": Page(b"from the proxy")}) as proxy,
        FaultyServer({"/x": Page(b"tls")}, tls=authority.server("127.0.0.1")) as tls,
    ):
        proxied = first.sibling(http_proxy=f"http://127.0.0.1:{proxy.port}")
        trusting = first.sibling(ca_bundle=str(authority.ca_file))
        assert body(trusting, tls.url("/x")) == b"tls"
        with pytest.raises(FetchError, match="issued by nobody"):
            body(first, tls.url("/x"))
        assert body(proxied, "http://store.invalid/x") == b"from the proxy"
        assert body(first, plain.url("/x")) == b"plain"
        proxied.close()
        assert body(first, plain.url("/x")) == b"plain"
        first.close()
        with pytest.raises(Cancelled):
            body(trusting, tls.url("/x"))
