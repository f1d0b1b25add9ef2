"""What is found in the archive of each era: printed with -s, and compared with docs/clouds.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestoreproxy.clouds.credentials import Credentials, from_directory
from imagestoreproxy.clouds.eucarc import parse_eucarc
from imagestoreproxy.clouds.frontend.archive import unpack
from imagestoreproxy.clouds.frontend.clcadmin import NAME, completed

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT.parent / "shared/data/eucarc-samples"
HEADING = "## Credentials of each era"
HEAD = (
    "| what was handed out | EC2 | S3 | IAM | account | user's certificate | what is said |\n"
    "|---|---|---|---|---|---|---|\n"
)

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the sample archives are not beside this project (../shared)"
)


def found_in_samples(tmp_path: Path) -> Iterator[tuple[str, Credentials]]:
    for archive in sorted(SAMPLES.glob("*.zip")):
        directory = tmp_path / archive.stem
        directory.mkdir()
        unpack(archive, directory, "the sample")
        yield archive.stem, from_directory(directory)
    for printed in sorted(SAMPLES.glob("*.out")):
        values = parse_eucarc(printed.read_text(), tmp_path, NAME)
        keys = tmp_path / "prefix/var/lib/eucalyptus/keys"
        keys.mkdir(parents=True)
        (keys / "cloud-cert.pem").write_text("CERTIFICATE")
        yield f"`{printed.stem}`", completed(values, tmp_path / "prefix", NAME)


def shown(url: str) -> str:
    return f"`{url.replace('http://192.168.7.7:8773', 'HOST')}`" if url else "none"


def row(era: str, found: Credentials) -> str:
    said = [one.partition(" is missing")[0] + " is missing" for one in found.missing()]
    said += ["S3 on the loopback"] if found.warnings() else []
    certificate = "yes" if found.user_certificate and found.user_private_key else "none"
    columns = (
        era,
        shown(found.ec2_url),
        shown(found.s3_url),
        "yes" if found.iam_url else "none",
        found.account or "none",
        certificate,
        ", ".join(said) or "complete",
    )
    return f"| {' | '.join(columns)} |\n"


def test_what_is_found_in_each_sample_is_what_the_manual_says(tmp_path: Path) -> None:
    found = list(found_in_samples(tmp_path))
    assert len(found) == len([*SAMPLES.glob("*.zip"), *SAMPLES.glob("*.out")])
    table = HEAD + "".join(row(era, credentials) for era, credentials in found)
    print(f"\n{table}")
    manual = (ROOT / "docs" / "clouds.md").read_text()
    section = manual.partition(HEADING)[2].partition("\n## ")[0]
    assert table in section


def test_every_sample_has_the_keys_that_the_store_tab_signs_with(tmp_path: Path) -> None:
    for _era, found in found_in_samples(tmp_path):
        assert found.access_key == "WKy3rMzOWPouVOxK1p3Ar1C2uRBwa2FBXnCw"
        assert found.secret_key == "UZGgLPYNTnfOWjkQHDBSOTWRcEpqPdGtvNQfA"
        assert found.cloud_certificate
