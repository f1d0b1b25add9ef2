"""A credentials directory as a cloud hands it out, with keys made by openssl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.standins.pairs import ADMIN, CLOUD, write_pair

ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True)
class EucarcDirectory:
    """Paths of all that belongs to it; ``cloud_private_key`` lies in the cloud, not there."""

    path: Path
    user_certificate: Path
    user_private_key: Path
    cloud_private_key: Path


def make_eucarc_directory(path: Path, ec2_url: str, s3_url: str) -> EucarcDirectory:
    """Make ``path`` with ``eucarc``, certificates and keys; the cloud's own key goes beside it."""
    path.mkdir(mode=0o700)
    user_key, user_certificate = path / "euca2-admin-pk.pem", path / "euca2-admin-cert.pem"
    cloud_key, cloud_certificate = (
        path.with_name(f"{path.name}-cloud-pk.pem"),
        path / "cloud-cert.pem",
    )
    write_pair(user_key, user_certificate, "admin", ADMIN)
    write_pair(cloud_key, cloud_certificate, "cloud", CLOUD)
    (path / "eucarc").write_text(
        "EUCA_KEY_DIR=$(cd $(dirname ${BASH_SOURCE:-$0}); pwd -P)\n"
        f"export EC2_URL={ec2_url}\n"
        f"export S3_URL={s3_url}\n"
        "export EC2_PRIVATE_KEY=${EUCA_KEY_DIR}/euca2-admin-pk.pem\n"
        "export EC2_CERT=${EUCA_KEY_DIR}/euca2-admin-cert.pem\n"
        "export EUCALYPTUS_CERT=${EUCA_KEY_DIR}/cloud-cert.pem\n"
        f"export EC2_ACCOUNT_NUMBER='{ACCOUNT}'\n"
        "export EC2_ACCESS_KEY='testing'\n"
        "export EC2_SECRET_KEY='testing-secret'\n"
    )
    (path / "eucarc").chmod(0o600)
    return EucarcDirectory(path, user_certificate, user_key, cloud_key)
