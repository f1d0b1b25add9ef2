"""A directory of credentials as a cloud gives them out: eucarc, keys and certificates."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

ACCOUNT = "000100729354"
EUCARC = """\
EUCA_KEY_DIR=$(dirname $(readlink -f ${{BASH_SOURCE}}))
export S3_URL={s3_url}
export EC2_URL={ec2_url}
export EC2_PRIVATE_KEY=${{EUCA_KEY_DIR}}/{user_key}
export EC2_CERT=${{EUCA_KEY_DIR}}/{user_cert}
export EUCALYPTUS_CERT=${{EUCA_KEY_DIR}}/cloud-cert.pem
export EC2_ACCESS_KEY='{access_key}'
export EC2_SECRET_KEY='{secret_key}'
export EC2_USER_ID='{account}'
alias ec2-bundle-image="ec2-bundle-image --cert ${{EC2_CERT}} --user {account}"
"""


@dataclass(frozen=True)
class Credentials:
    """Where the pieces are.

    Args:
        directory: what ``--credentials-dir`` wants.
        cloud_key: the cloud's own private key, beside the directory: no user has it.
    """

    directory: Path
    eucarc: Path
    cloud_cert: Path
    cloud_key: Path
    user_key: Path
    user_cert: Path


def make_credentials_directory(
    path: Path, ec2_url: str, s3_url: str, access_key: str, secret_key: str
) -> Credentials:
    """Make ``path`` (0700) with new keys of 2048 bits; it must not exist yet."""
    made = Credentials(
        directory=path,
        eucarc=path / "eucarc",
        cloud_cert=path / "cloud-cert.pem",
        cloud_key=path.with_name(f"{path.name}-cloud-pk.pem"),
        user_key=path / "euca2-admin-0a1b2c3d-pk.pem",
        user_cert=path / "euca2-admin-0a1b2c3d-cert.pem",
    )
    path.mkdir(mode=0o700)
    _write_pair("cloud", made.cloud_key, made.cloud_cert)
    _write_pair("admin", made.user_key, made.user_cert)
    text = EUCARC.format(
        s3_url=s3_url,
        ec2_url=ec2_url,
        user_key=made.user_key.name,
        user_cert=made.user_cert.name,
        access_key=access_key,
        secret_key=secret_key,
        account=ACCOUNT,
    )
    _write(made.eucarc, text.encode())
    return made


def _write_pair(name: str, key_path: Path, cert_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    _write(
        key_path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )
    _write(cert_path, certificate.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)
