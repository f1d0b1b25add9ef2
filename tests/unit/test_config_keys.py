"""The table of the configuration's keys: the reader, the example and the documents go by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from imagestoreproxy.config.file import DEFAULT_CONFIG, Defaults, FileSettings, read_config, ubuntu
from imagestoreproxy.config.keys import SECTIONS, SOURCE, Example, Section
from imagestoreproxy.config.settings import parse
from imagestoreproxy.keys import UBUNTU
from imagestoreproxy.model.errors import SettingsError
from tools.make_config import manual, sample

KEYS = [(section, key.name) for section in SECTIONS for key in section.keys]
EXAMPLES = [(section, example) for section in SECTIONS for example in section.examples]


@pytest.fixture(scope="module")
def certificates() -> str:
    """A certificate authority, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example")])
    day = datetime(2026, 11, 29, tzinfo=UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(day)
        .not_valid_after(day + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def read(directory: Path, text: str) -> FileSettings:
    file = directory / "c.toml"
    file.write_text(text)
    return read_config(file, Defaults(directory / "keyring.gpg"), must_exist=True)


def table(section: Section, example: Example) -> str:
    lines = [f"{name} = {value}" for name, value in example.values.items()]
    return "\n".join([section.header, *lines, ""])


def here(text: str, directory: Path, certificates: str) -> str:
    """Put the files of the examples into a directory of the test."""
    (directory / "keys.gpg").write_bytes(UBUNTU.read_bytes())
    (directory / "ca.pem").write_text(certificates)
    return text.replace(str(DEFAULT_CONFIG.parent), str(directory))


@pytest.mark.parametrize(("section", "name"), KEYS, ids=[name for _, name in KEYS])
def test_every_key_of_the_table_is_read(tmp_path: Path, section: Section, name: str) -> None:
    """A value of no kind that there is, is refused under the name of the key."""
    kind = "carried" if name == "path" else "simplestreams"
    given = {"name": '"a"', "type": f'"{kind}"', "url": '"http://a.example/"'}
    if section is not SOURCE:
        given = {}
    lines = [f"{key} = {value}" for key, value in {**given, name: "1979-05-27"}.items()]
    with pytest.raises(SettingsError, match=f"'{name}'.* must (be|have) "):
        read(tmp_path, "\n".join([section.header, *lines]))


@pytest.mark.parametrize(("section", "example"), EXAMPLES)
def test_every_example_can_be_read(
    tmp_path: Path, certificates: str, section: Section, example: Example
) -> None:
    found = read(tmp_path, here(table(section, example), tmp_path, certificates))
    assert found != FileSettings()


def test_the_example_file_says_nothing_until_it_is_changed(tmp_path: Path) -> None:
    assert read(tmp_path, sample()) == FileSettings()
    (tmp_path / "c.toml").write_text(sample())
    settings = parse(
        ["--fake-eucalyptus=secret", f"--config={tmp_path / 'c.toml'}", f"--data-dir={tmp_path}"]
    )
    assert settings.sources == (ubuntu(Defaults(tmp_path / "keyring.gpg")),)


def test_the_example_file_can_be_read_with_all_of_it_switched_on(
    tmp_path: Path, certificates: str
) -> None:
    text = here(sample(), tmp_path, certificates)
    lines = [line if line[:2] == "# " else line.removeprefix("#") for line in text.split("\n")]
    found = read(tmp_path, "\n".join(lines))
    assert [one.kind for one in found.sources] == [
        *("simplestreams", "simplestreams", "simplestreams", "store", "carried")
    ]
    assert (found.limit_bytes_per_s, found.connections) == (20_000_000, 4)
    assert found.window == "02:00-05:00"


def test_every_key_is_explained_in_the_example_file_and_in_the_manual() -> None:
    lines = sample().split("\n")
    page = manual()
    for section, name in KEYS:
        (first, *_) = [number for number, one in enumerate(lines) if one.startswith(f"#{name} = ")]
        assert lines[first - 1].startswith("# "), name
        assert section.header.replace("-", "\\-") in page
        assert "\n\\fB{}\\fR\n".format(name.replace("-", "\\-")) in page
