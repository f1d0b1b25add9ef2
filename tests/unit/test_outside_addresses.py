"""Which addresses are refused, which proxy is used, and what is never shown."""

from __future__ import annotations

import pytest

from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.masking import masked
from imagestoreproxy.outside.addresses import is_local, is_local_host
from imagestoreproxy.outside.proxies import ProxyRules, proxy_rules

LOCAL = [
    "127.0.0.1",
    "127.8.8.8",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "nonsense",
]


@pytest.mark.parametrize("address", LOCAL)
def test_local_addresses_are_local_however_they_are_wrapped(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize(
    "address", ["91.189.91.38", "8.8.8.8", "2620:2d:4000:1::1a", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_not_local(address: str) -> None:
    assert not is_local(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "0", "[::1]", "localhost",
     "LOCALHOST.", "a.localhost", "[::ffff:10.0.0.1]"],
)  # fmt: skip
def test_hosts_written_as_local_addresses_are_seen_in_every_way_of_writing(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize("host", ["cloud-images.ubuntu.com", "8.8.8.8", "[2620:2d:4000:1::1a]"])
def test_other_hosts_are_judged_by_their_addresses_later(host: str) -> None:
    assert not is_local_host(host)


def test_proxies_come_from_the_environment_by_libcurls_rules() -> None:
    rules = proxy_rules(
        {
            "http_proxy": "http://a:1",
            "HTTP_PROXY": "http://evil:1",
            "HTTPS_PROXY": "b:2",
            "no_proxy": "localhost,.example.org, 10.0.0.0/8",
        }
    )
    assert rules.proxy_for("http://store/api") == "http://a:1"
    assert rules.proxy_for("HTTPS://store/api") == "http://b:2"
    for direct in ("localhost:80", "example.org", "a.b.example.org", "10.2.3.4"):
        assert rules.proxy_for(f"http://{direct}/") == ""
    for through in ("notexample.org", "example.org.evil", "11.0.0.1", "nolocalhost"):
        assert rules.proxy_for(f"http://{through}/") == "http://a:1"


def test_http_proxy_in_capitals_is_not_read() -> None:
    assert proxy_rules({"HTTP_PROXY": "http://evil:1"}).proxy_for("http://store/") == ""


def test_a_configured_proxy_stands_above_the_environment_but_not_above_no_proxy() -> None:
    rules = proxy_rules({"http_proxy": "http://a:1", "NO_PROXY": "near"}, "https://p:3")
    assert rules.proxy_for("http://store/") == "https://p:3"
    assert rules.proxy_for("https://store/") == "https://p:3"
    assert rules.proxy_for("https://near/") == ""


def test_a_star_excepts_everything() -> None:
    assert ProxyRules("http://a:1", "http://a:1", ("*",)).proxy_for("http://store/") == ""


@pytest.mark.parametrize("text", ["ftp://p:1", "http://", "http://p:port", "http://[::1"])
def test_h4_a_senseless_proxy_is_refused_at_once(text: str) -> None:
    with pytest.raises(SettingsError, match="is no HTTP proxy"):
        proxy_rules({}, text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pw@host/x", "http://***@host/x"),
        ("http://user:p@w@host/x", "http://***@host/x"),
        ("user:pw@host:3128", "***@host:3128"),
        ("http://host/a@b", "http://host/a@b"),
        ("https://h/x?a=1&X-Amz-Signature=abc&b=2", "https://h/x?a=1&X-Amz-Signature=***&b=2"),
        ("https://h/x?token=abc", "https://h/x?token=***"),
        ("could not reach http://u:p@h/ today", "could not reach http://***@h/ today"),
        ("https://h/x?pass=abc&auth=d&author=e", "https://h/x?pass=***&auth=***&author=e"),
        ("https://h/x?pwd=abc#hmac=d", "https://h/x?pwd=***#hmac=d"),
        ("http://user:p/w@host/x", "http://***@host/x"),
        ("not http://user:1x#w@host, but", "not http://***@host, but"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("http://[::1]:80/a@b http://h:1 c@d", "http://[::1]:80/a@b http://h:1 c@d"),
    ],
)
def test_no_secret_of_a_url_is_shown(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_long_url_is_cut() -> None:
    assert len(masked("http://h/" + "x" * 5000)) == 300
