"""How to run an image is told in whole shell lines, quoted, without secrets (H13, H14)."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.model.installs import Installation
from imagestoreproxy.model.running import LOGIN_USER, Place, login_user_of, ports_of, run_guide
from tests.unit.memory_store import LUCID, MemorySite, action_path

WEB = ImageInfo(LUCID, login_user="admin", ports=(443, 80))
EUCARC = Place(ec2_url="http://c:8773/services/Eucalyptus", eucarc="/srv/my creds/eucarc")
KEY = "A" * 40


def lines(place: Place, name: str, info: ImageInfo = WEB, emi: str = "emi-1") -> tuple[str, ...]:
    guide = run_guide(info, emi, place)
    return next(way.commands for way in guide.ways if way.name == name)


def test_h13_euca2ools_load_the_credentials_first_and_end_logged_in() -> None:
    assert lines(EUCARC, "euca2ools") == (
        ". '/srv/my creds/eucarc'",
        "export EC2_URL=http://c:8773/services/Eucalyptus",
        "test -s ~/image-store.pem ||"
        " (umask 077; euca-add-keypair image-store > ~/image-store.pem)",
        "euca-authorize -P tcp -p 22 -s 0.0.0.0/0 default",
        "euca-authorize -P tcp -p 80 -s 0.0.0.0/0 default",
        "euca-authorize -P tcp -p 443 -s 0.0.0.0/0 default",
        "INSTANCE=$(euca-run-instances -t m1.small -k image-store emi-1"
        " | awk '$1 == \"INSTANCE\" {print $2}')",
        'while euca-describe-instances "$INSTANCE" | grep -w pending; do sleep 5; done',
        'ADDRESS=$(euca-describe-instances "$INSTANCE" | awk \'$1 == "INSTANCE" {print $4}\')',
        'ssh -i ~/image-store.pem admin@"$ADDRESS"',
    )


def test_h13_the_aws_command_line_names_cloud_and_region_each_time() -> None:
    where = "--endpoint-url http://c:8773/services/Eucalyptus --region us-east-1"
    found = lines(EUCARC, "AWS command line")
    assert found[:2] == (
        ". '/srv/my creds/eucarc'",
        'export AWS_ACCESS_KEY_ID="${EC2_ACCESS_KEY:-$AWS_ACCESS_KEY_ID}"'
        ' AWS_SECRET_ACCESS_KEY="${EC2_SECRET_KEY:-$AWS_SECRET_ACCESS_KEY}"',
    )
    asking = [line for line in found if "aws ec2" in line]
    assert len(asking) == 7
    assert all(where in line for line in asking)
    assert found[-1] == 'ssh -i ~/image-store.pem admin@"$ADDRESS"'


def test_without_a_directory_the_usual_file_is_loaded_and_says_where_the_cloud_is() -> None:
    assert lines(Place(), "euca2ools")[0] == ". ~/.euca/eucarc"
    assert '--endpoint-url "$EC2_URL" --region us-east-1' in lines(Place(), "AWS command line")[-3]


def test_a_profile_or_loaded_keys_make_the_aws_command_line_the_first_way() -> None:
    place = Place(profile="my cloud", profile_file="/a b", region="cloud-1")
    assert run_guide(WEB, "emi-1", place).ways[0].commands[0] == (
        "export AWS_SHARED_CREDENTIALS_FILE='/a b' AWS_PROFILE='my cloud'"
    )
    assert "--endpoint-url" not in "".join(lines(place, "AWS command line"))
    loaded = run_guide(WEB, "emi-1", Place(is_loaded=True)).ways
    assert loaded[0].name == "AWS command line"
    assert not any("eucarc" in line for way in loaded for line in way.commands)


def test_h14_login_user_and_ports_are_said_and_what_is_not_known_is_said_to_be_usual() -> None:
    notes = " ".join(run_guide(WEB, "emi-1", EUCARC).notes)
    assert "Log in as admin" in notes
    assert "443, 80" in notes
    unknown = run_guide(ImageInfo(LUCID), "emi-1", EUCARC)
    assert "does not say as whom to log in" in " ".join(unknown.notes)
    assert unknown.ways[0].commands[-1].startswith("ssh -i ~/image-store.pem root@")
    assert sum("euca-authorize" in line for line in unknown.ways[0].commands) == 1


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place(eucarc="/x/eucarc"), "lie on the machine of the proxy"),
        (Place(is_here=True), "name your own eucarc there"),
        (Place(is_here=True, eucarc="/x/eucarc"), ""),
        (Place(is_here=True, profile="x"), ""),
        (Place(is_here=True, is_loaded=True), ""),
    ],
)
def test_whose_credentials_the_first_line_loads_is_said_where_it_is_not_plain(
    place: Place, said: str
) -> None:
    first = [note for note in run_guide(WEB, "emi-1", place).notes if "The first line" in note]
    assert (said in first[0]) if said else not first


def test_a_cloud_that_is_played_is_said_to_be_none() -> None:
    assert "does not exist" in run_guide(WEB, "emi-1", Place(is_fake=True)).notes[0]
    assert "does not exist" not in " ".join(run_guide(WEB, "emi-1", EUCARC).notes)


def test_an_arm_image_gets_a_machine_that_can_run_it() -> None:
    arm = ImageInfo(LUCID, architecture="aarch64")
    assert "-t t4g.small " in "".join(lines(EUCARC, "euca2ools", arm))


@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_whatever_an_id_or_a_path_is_called_it_stays_one_word(emi: str, path: str) -> None:
    place = Place(eucarc=path, profile=path, profile_file=path)
    for way in run_guide(WEB, emi, place).ways:
        for line in way.commands:
            words = shlex.split(line)
            assert ("run-instances" not in line) or (emi in words) or (f"{emi})" in line)


@given(st.text(max_size=40))
def test_a_login_user_is_one_word_of_plain_characters(text: str) -> None:
    found = login_user_of(text)
    assert found in ("", text)
    assert not found or (LOGIN_USER.fullmatch(found) and shlex.quote(found) == found)


@given(st.lists(st.integers(), max_size=30))
def test_ports_are_ports_or_none_at_all(values: list[int]) -> None:
    found = ports_of(values)
    assert set(found) == (set(values) if found else set())
    assert all(0 < port < 65536 for port in found)
    assert len(found) <= 20


def test_no_password_of_an_endpoint_is_told() -> None:
    place = Place(ec2_url="http://me:hush@cloud.example:8773/")
    assert "hush" not in "".join(lines(place, "AWS command line") + lines(place, "euca2ools"))


def installed(info: ImageInfo) -> Installation:
    return Installation(
        LUCID, "store", "1.0", 3, info, "emi-7", "", "", b"", fingerprint=KEY, installed_at_s=1.0
    )


def test_an_installed_image_says_who_signed_it_and_how_it_is_run() -> None:
    site = MemorySite()
    before = site.get(action_path(LUCID)).json
    assert not {"run", "signed-by"} & before.keys()
    site.store.installations[LUCID] = installed(WEB)
    site.signers[KEY] = "A Store\n<store@example.com>"
    content = site.get(action_path(LUCID)).json
    assert content["signed-by"] == {"fingerprint": KEY, "name": "A Store <store@example.com>"}
    ways = content["run"]["ways"]
    assert [way["name"] for way in ways] == ["euca2ools", "AWS command line"]
    assert any("emi-7" in line for line in ways[0]["commands"])
    assert "Log in as admin" in " ".join(content["run"]["notes"])
    site.signers.clear()
    assert site.get(action_path(LUCID)).json["signed-by"] == {"fingerprint": KEY}


def test_what_an_earlier_version_installed_takes_its_run_notes_from_the_catalogue() -> None:
    site = MemorySite()
    site.store.images[LUCID] = WEB
    site.store.installations[LUCID] = installed(ImageInfo(LUCID))
    content = site.get(action_path(LUCID)).json
    assert content["image"]["login-user"] == "admin"
    assert content["image"]["ports"] == [443, 80]
    assert content["run"]["ways"][0]["commands"][-1] == (
        'ssh -i ~/image-store.pem admin@"$ADDRESS"'
    )


@pytest.mark.parametrize("signed", [True, False])
def test_an_unsigned_image_names_no_key(signed: bool) -> None:
    site = MemorySite()
    made = installed(WEB)
    site.store.installations[LUCID] = (
        made
        if signed
        else Installation(
            LUCID, "store", "1.0", 3, WEB, "emi-7", "", "", b"", fingerprint="", installed_at_s=1.0
        )
    )
    assert ("signed-by" in site.get(action_path(LUCID)).json) is signed
