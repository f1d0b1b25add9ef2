"""Options: what is understood, and the one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestoreproxy.config.settings import parse
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import Architecture, Virtualization
from imagestoreproxy.model.taking import Taking

API = "--api-url=http://localhost:52781/api"
FAKE = "--fake-eucalyptus=Wbh3dvZwRiqYiX6VtOeBycxGjJhShWORy6r0ng"


def test_the_command_of_the_readme_works_word_for_word() -> None:
    settings = parse(
        ["--debug", FAKE, "--data-dir=/var/tmp/isp", API, "--keyring=./fake-pubring.gpg"]
    )
    assert settings.debug
    assert settings.cloud == "fake"
    assert settings.fake_secret == "Wbh3dvZwRiqYiX6VtOeBycxGjJhShWORy6r0ng"
    assert settings.data_dir == Path("/var/tmp/isp")
    (store,) = settings.sources
    assert store.kind == "store"
    assert store.name == store.url == "http://localhost:52781/api"
    assert store.keyring == Path("fake-pubring.gpg")
    assert settings.listen == ("tcp:52780:interface=127.0.0.1",)


def test_the_keyring_lies_in_the_data_directory_unless_said_otherwise() -> None:
    (store,) = parse([API, FAKE, "--data-dir=/d"]).sources
    assert store.keyring == Path("/d/keyring.gpg")


def test_what_the_cloud_takes_is_both_kinds_unless_said_otherwise() -> None:
    assert parse([API, FAKE]).taking == Taking()
    said = parse([API, FAKE, "--cloud-takes=hvm", "--cloud-architectures=amd64, aarch64"])
    assert said.taking == Taking(
        frozenset({Virtualization.HVM}),
        frozenset({Architecture.X86_64, Architecture.AARCH64}),
    )
    assert parse([API, FAKE, "--cloud-needs-ramdisk"]).taking == Taking(needs_ramdisk=True)


def test_several_doors_may_be_opened() -> None:
    settings = parse([API, FAKE, "--listen=tcp:1", "--listen=unix:/run/isp"])
    assert settings.listen == ("tcp:1", "unix:/run/isp")


def test_the_secret_is_not_in_what_is_printed_of_the_settings() -> None:
    assert "Wbh3" not in repr(parse([API, FAKE]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([API, FAKE, "--cloud-takes=xen"], "xen"),
        ([API, FAKE, "--cloud-architectures=vax"], "vax"),
        ([API, FAKE, "--max-bandwidth=-1"], "from 0 to 100000"),
        ([API, FAKE, "--max-bandwidth=nan"], "from 0 to 100000"),
        ([API, FAKE, "--connections=0"], "from 1 to 16"),
        ([API, FAKE, "--cloud=ec2"], "exclude each other"),
        ([API, FAKE, "--check", "--reset"], "not allowed with"),
        ([API, "--cloud=fake"], "--fake-eucalyptus=SECRET"),
        ([API, "--fake-eucalyptus="], "not empty"),
        ([API, FAKE, "--ec2-url=http://h"], "--ec2-url is for a real cloud"),
        ([API, "--cloud=ec2", "--credentials-dir=d", "--profile=p"], "exclude each other"),
        ([API, "--cloud=azure"], "azure"),
        ([API, FAKE, "--frobnicate"], "--frobnicate"),
        ([API, FAKE, "--debu"], "--debu"),
        ([API, FAKE, "--max-installs=0"], "from 1 to 64"),
        ([API, FAKE, "--max-downloads=65"], "from 1 to 64"),
        ([API, FAKE, "--keep-downloads=no"], "from 0 to 1"),
        ([API, FAKE, "--max-unpacked-size=lots"], "lots"),
        (["--api-url=ftp://h/", FAKE], "--api-url"),
        ([API, FAKE, "--external-url=http://h/path"], "host:port"),
        ([API, FAKE, "--external-url=http://h:99999"], "host:port"),
        (["--api-url=http://[::1/", FAKE], "--api-url"),
        (["--api-url=http://h:99999/api", FAKE], "--api-url"),
        (["--api-url=ftp://me:secret@h/", FAKE], "***"),
        ([API, FAKE, "--ca-bundle=/nonexistent"], "not a file"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(arguments)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("words", [["--fake-eucalytus=Wbh3dv"], ["--fake-eucalytus", "Wbh3dv"]])
def test_the_value_of_a_misspelt_option_is_not_told(words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse([API, *words])
    assert "--fake-eucalytus" in caught.value.message
    assert "Wbh3dv" not in caught.value.message


def test_help_groups_the_options_and_shows_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for heading in ("the daemon:", "image stores:", "the cloud:", "limits:"):
        assert heading in text
    assert "default: /var/lib/image-store-proxy" in text
    assert "default: 64" in text


def test_a_check_is_asked_for_with_the_options_of_the_daemon() -> None:
    assert parse([API, FAKE, "--check"]).check
    assert not parse([API, FAKE]).check


def test_nothing_is_kept_and_nothing_shared_unless_it_is_said() -> None:
    usual, said = parse([API, FAKE]), parse([API, FAKE, "--cache-size=50", "--share-cache"])
    assert (usual.cache_bytes, usual.share_cache) == (0, False)
    assert (said.cache_bytes, said.share_cache) == (50 * 2**30, True)
    with pytest.raises(SettingsError, match="--cache-size"):
        parse([API, FAKE, "--cache-size=-1"])
