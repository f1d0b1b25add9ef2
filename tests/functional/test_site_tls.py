"""The site and the command line over TLS."""

from __future__ import annotations

import json
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.ssl import PrivateCertificate

from imagestoreproxy.client.requests import UNREACHABLE, ClientError, Connection
from imagestoreproxy.model.signing import signed_pairs
from imagestoreproxy.shop import Shop
from imagestoreproxy.web.site import make_site
from tests.functional.reactor_thread import in_reactor, running_reactor
from tests.functional.test_site_cli import Server, SystemClock
from tests.unit.memory_store import KARMIC, MemoryKeys, action_path, raw_request


def self_signed(path: Path) -> bytes:
    """Write a certificate of this machine to ``path``; give it with its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(IPv4Address("127.0.0.1")),
    ]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    path.write_bytes(certificate)
    return certificate + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class TlsServer(Server):
    """A site that listens with TLS."""

    def __init__(self, pem: bytes) -> None:
        super().__init__()
        self._pem = pem

    async def start(self) -> None:
        reactor = running_reactor()
        load: Any = PrivateCertificate.loadPEM
        options = load(self._pem).options()
        site = make_site(
            Shop(store=self.store, keys=MemoryKeys({"AK": "SK"})), SystemClock(), reactor=reactor
        )
        self.port = reactor.listenSSL(0, site, options, interface="127.0.0.1")

    @property
    def url(self) -> str:
        return f"https://localhost:{self.address[1]}"


def test_h6_tls_works_with_a_named_ca_bundle_and_is_refused_without(tmp_path: Path) -> None:
    server = TlsServer(self_signed(tmp_path / "ca.pem"))
    in_reactor(server.start)
    try:
        trusting = Connection(server.url, "AK", "SK", ca_bundle=str(tmp_path / "ca.pem"))
        content = trusting.get("/api/dashboard")
        (action, _) = (state["actions"]["install"] for state in content["states"])
        assert action.startswith(f"{server.url}/api/images/")
        assert json.dumps(trusting.post("/api/states"))
        with pytest.raises(ClientError, match="certificate verify failed") as caught:
            Connection(server.url, "AK", "SK").get("/api/dashboard")
        assert caught.value.exit_status == UNREACHABLE
        assert "--ca-bundle" in caught.value.message
    finally:
        in_reactor(server.stop)


def test_a_page_listens_over_tls_and_sees_the_end_of_the_daemon(tmp_path: Path) -> None:
    server = TlsServer(self_signed(tmp_path / "ca.pem"))
    server.store.stays = True
    in_reactor(server.start)
    host = f"localhost:{server.address[1]}"
    pairs = signed_pairs(
        "SK", "AK", "GET", host, "/api/events", [], now_s=time.time(), nonce="20261125"
    )
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    try:
        plain = socket.create_connection(server.address, 10)
        listening = trusting.wrap_socket(plain, server_hostname="localhost")
        listening.sendall(raw_request("GET", "/api/events", pairs, host=host))
        came = b""
        while not came.endswith(b'data: {"states":[]}\n\n'):
            came += (block := listening.recv(4096))
            assert block, came
        Connection(server.url, "AK", "SK", ca_bundle=str(tmp_path / "ca.pem")).post(
            action_path(KARMIC, "install")
        )
        assert b'"status":"downloading"' in listening.recv(4096)
    finally:
        in_reactor(server.stop)
    with listening:
        assert listening.recv(4096) == b""
