"""A key and a certificate of the proxy's own, for clouds that hand none out.

From 3.0 on Eucalyptus does not compare a bundle's signature with the certificates that it knows
(``ImageManifests`` never calls its ``checkManifest``), and a user's certificate serves that user
alone, to open the bundle again. Only 4.1 and later give archives without one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=3650)


def make_pair() -> tuple[bytes, bytes]:
    """Give a new private key and a certificate for it, both in PEM; takes a tenth of a second."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "image-store-proxy")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return pem, certificate.public_bytes(Encoding.PEM)
