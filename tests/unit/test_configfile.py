"""The configuration file: what is understood, and where exactly what is wrong stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestoreproxy.config.file import UBUNTU_FINGERPRINTS
from imagestoreproxy.config.lines import key_lines
from imagestoreproxy.config.settings import Settings, parse, reread
from imagestoreproxy.keys import UBUNTU
from imagestoreproxy.model.errors import SettingsError

FAKE = "--fake-eucalyptus=secret"
SOURCE = '[[source]]\nname = "a"\ntype = "store"\nurl = "http://a.example/api"\n'


def read(directory: Path, text: str, *options: str) -> Settings:
    file = directory / "c.toml"
    file.write_text(text)
    return parse([FAKE, f"--config={file}", f"--data-dir={directory / 'data'}", *options])


def refused(directory: Path, text: str, *options: str) -> list[str]:
    """Give the lines of a refusal, each without the file's name."""
    with pytest.raises(SettingsError) as caught:
        read(directory, text, *options)
    return [
        line.removeprefix(f"{directory / 'c.toml'}:") for line in caught.value.message.split("\n")
    ]


def test_without_a_word_it_is_ubuntus_released_images_with_both_keys_pinned(
    tmp_path: Path,
) -> None:
    (only,) = read(tmp_path, "# nothing\n").sources
    assert (only.kind, only.url) == ("simplestreams", "https://cloud-images.ubuntu.com/releases/")
    assert only.keyring == UBUNTU
    assert only.fingerprints == UBUNTU_FINGERPRINTS


def test_the_store_of_the_option_comes_in_addition_to_those_of_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, SOURCE, "--api-url=http://u:pw@b.example/api/")
    assert [one.name for one in settings.sources] == ["http://***@b.example/api", "a"]
    assert all(one.keyring == tmp_path / "data" / "keyring.gpg" for one in settings.sources)
    assert "pw" not in repr(settings) + repr(settings.sources)


def test_limits_of_options_stand_above_those_of_the_file(tmp_path: Path) -> None:
    text = (
        "[bandwidth]\nlimit-mb-per-s = 2.5\n[downloads]\nconnections = 3\n"
        '[updates]\nwindow = "22:00-05:30"\n'
    )
    settings = read(tmp_path, text)
    assert settings.limit_bytes_per_s == 2_500_000
    assert settings.connections == 3
    assert settings.update_window == "22:00-05:30"
    settings = read(tmp_path, text, "--max-bandwidth=0", "--connections=1")
    assert settings.limit_bytes_per_s == 0
    assert settings.connections == 1


def test_filters_mirrors_and_times_are_taken_as_they_stand(tmp_path: Path) -> None:
    text = (
        '[[source]]\nname="u"\ntype="simplestreams"\nurl="https://m.example/releases/"\n'
        'mirrors=["http://n.example/"]\nreleases=["noble", "lts"]\narchitectures=["amd64"]\n'
        'streams=["released"]\nrefresh-minutes=1.5\nstale-after-days=0\nunsigned=true\n'
        'http-proxy="squid:3128"\ntitle="Mine"\n'
    )
    (one,) = read(tmp_path, text).sources
    assert one.mirrors == ("http://n.example/",)
    assert one.releases == ("noble", "lts")
    assert one.architectures == ("amd64",)
    assert one.streams == ("released",)
    assert (one.refresh_s, one.stale_after_s) == (90.0, 0.0)
    assert one.keyring is None
    assert one.fingerprints == ()
    assert one.http_proxy == "squid:3128"


def test_a_relative_keyring_lies_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "k.gpg").write_bytes(b"key")
    (one,) = read(tmp_path, SOURCE + 'keyring = "k.gpg"\n').sources
    assert one.keyring == tmp_path / "k.gpg"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('x = \n', 1, "no TOML"),
        ('a = 1\n[b]\nc = 1\nc = 2\n', 4, "no TOML"),
        ('a = "open\n', 1, "no TOML"),
        (SOURCE + "frobnicate = 1\n", 5, "'frobnicate'"),
        (SOURCE + "mirors = []\n", 5, "did you mean 'mirrors'"),
        (SOURCE + "\n[bandwith]\n", 6, "did you mean 'bandwidth'"),
        (SOURCE + "\n# c\n[bandwidth]\nlimit = 1\n", 8, "limit-mb-per-s"),
        (SOURCE + "title = 3\n", 5, "text in quotes, not a number"),
        (SOURCE + "'refresh-minutes' = true\n", 5, "must be a number, not true or false"),
        (SOURCE + "refresh-minutes = nan\n", 5, "from 1 to"),
        (SOURCE + 'mirrors = []\n', 5, "not for a source of type store"),
        (SOURCE + 'unsigned = true\n', 5, "not for a source of type store"),
        (SOURCE + 'keyring = "nowhere.gpg"\n', 5, "cannot be read"),
        (SOURCE + 'ca-bundle = "."\n', 5, "cannot be read"),
        (SOURCE + 'http-proxy = "ftp://u:pw@h"\n', 5, "no HTTP proxy"),
        (SOURCE + 'fingerprints = [\n  "' + "A" * 40 + '",  # ]\n  "abc",\n]\n', 7, "40 hex"),
        (SOURCE + "fingerprints = []\n", 5, "is empty"),
        (SOURCE + SOURCE.replace("a.example", "b.example"), 6, "source in line 2"),
        (SOURCE + SOURCE.replace('"a"', '"b"').replace("http://a", "HTTP://A"), 8, "in line 4"),
        ('[[source]]\nname = "a"\ntype = "store"\n', 1, "'url' is missing"),
        ('source = [\n {name = "a", type = "store",\n url = "x"}]\n', 2, "no TOML"),
        ('source = [\n {name = "a", type = "store", url = "x"}]\n', 2, "must be a URL"),
        ('[source]\nname = "a"\n', 1, "[[source]]"),
        (SOURCE.replace("http://a.example", "ftp://u:pw@a.example"), 4, "***@"),
        (SOURCE.replace('"store"', '"shop"'), 3, "not 'shop'"),
        (SOURCE.replace('"a"', '"a b"'), 2, "only letters"),
        ('[[source]]\nname="a"\ntype="carried"\n', 1, "'path' or 'url' is missing"),
        ('[[source]]\nname="a"\ntype="carried"\npath="/p"\nurl="http://h/"\n', 4, "exclude"),
        ('[updates]\nwindow = "25:00-01:00"\n', 2, "two times"),
        ("[downloads]\nconnections = 2.0\n", 2, "whole number"),
        ("[downloads]\nconnections = 99\n", 2, "from 1 to 16"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    found = refused(tmp_path, text)
    assert [one for one in found if one.startswith(f"{line}: ") and said in one], found
    assert "pw" not in "".join(found)


def test_unsigned_and_a_keyring_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("x")
    text = SOURCE.replace("store", "simplestreams") + 'unsigned = true\nkeyring = "k"\n'
    assert refused(tmp_path, text) == ["6: 'keyring' and 'unsigned' exclude each other: give one."]


def test_all_problems_are_told_and_at_most_twenty(tmp_path: Path) -> None:
    assert len(refused(tmp_path, SOURCE + "title = 1\nkeyring = 2\nrefresh-minutes = 0\n")) == 3
    many = refused(tmp_path, "".join(f"k{number} = 1\n" for number in range(50)))
    assert len(many) == 21
    assert "30 more" in many[-1]


def test_a_file_that_is_named_must_exist_and_be_text(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        parse([FAKE, f"--config={tmp_path / 'none'}"])
    (tmp_path / "c.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(SettingsError, match=r"c\.toml:2: The text is not UTF-8"):
        parse([FAKE, f"--config={tmp_path / 'c.toml'}"])


def test_a_source_cannot_be_given_by_option_and_file(tmp_path: Path) -> None:
    (said,) = refused(tmp_path, SOURCE, "--api-url=http://a.example/api")
    assert "'a'" in said


def test_what_is_read_again_keeps_the_options(tmp_path: Path) -> None:
    before = read(tmp_path, SOURCE, "--max-bandwidth=7")
    assert reread(before) == before
    (tmp_path / "c.toml").write_text(SOURCE.replace('"a"', '"new"'))
    after = reread(before)
    assert [one.name for one in after.sources] == ["new"]
    assert after.limit_bytes_per_s == 7_000_000


def test_lines_are_found_behind_all_that_toml_can_hold() -> None:
    text = '''\
# [[source]]
a.b = """
[[source]]
c = 1""" # "
"q.r" = 'x#y'
[[source]]
x = [ # ]
  "[",
  {y = 1, 'z' = [2]},
]
[source.sub]
k = 1979-05-27T07:32:00Z
  [[ source ]]
\tw = \'\'\'
'\'\'\'
v = true
'''
    lines = key_lines(text)
    assert lines[("a", "b")] == 2
    assert lines[("q.r",)] == 5
    assert lines[("source", 0)] == 6
    assert lines[("source", 0, "x", 0)] == 8
    assert lines[("source", 0, "x", 1, "z", 0)] == 9
    assert lines[("source", 0, "sub", "k")] == 12
    assert lines[("source", 1, "w")] == 14
    assert lines[("source", 1, "v")] == 16


def test_the_name_of_what_was_carried_here_is_taken(tmp_path: Path) -> None:
    (line,) = refused(tmp_path, SOURCE.replace('"a"', '"carried"'))
    assert line.startswith("2: 'name' must be another one")


def test_two_sources_of_one_mirror_are_refused_however_it_is_written(tmp_path: Path) -> None:
    text = "".join(
        f'[[source]]\nname = "{name}"\ntype = "simplestreams"\nurl = "{url}"\n{more}'
        for name, url, more in (
            ("a", "https://a.example/releases", ""),
            ("b", "https://A.example/releases/streams/v1/index.json", "unsigned = true\n"),
        )
    )
    (line,) = refused(tmp_path, text)
    assert line.startswith("8: 'url' is the same as that of the source in line 4")


@pytest.mark.parametrize("end", ["?token=x", "#there"])
def test_a_mirror_with_something_behind_its_path_is_refused(tmp_path: Path, end: str) -> None:
    text = '[[source]]\nname = "a"\ntype = "simplestreams"\nurl = "https://a.example/r"\n'
    (line,) = refused(tmp_path, text + f'mirrors = ["https://m.example/r{end}"]\n')
    assert line.startswith("5: 'mirrors' has 'https://m.example/r")


def test_an_address_put_where_a_file_or_a_key_belongs_is_not_told_with_its_password(
    tmp_path: Path,
) -> None:
    url = "https://user:hunter2@store.example/keys"
    lines = refused(tmp_path, f'{SOURCE}keyring = "{url}"\nfingerprints = ["{url}"]\n')
    assert len(lines) == 2
    assert "hunter2" not in " ".join(lines)
