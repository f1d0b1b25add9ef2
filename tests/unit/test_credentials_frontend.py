"""Credentials as the front end's programs give them: euca_conf and clcadmin, by version."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from imagestoreproxy.clouds.frontend import kept
from imagestoreproxy.clouds.frontend.clcadmin import NAME as CLCADMIN
from imagestoreproxy.clouds.frontend.eucaconf import NAME as EUCA_CONF
from imagestoreproxy.clouds.frontend.found import FoundWallet
from imagestoreproxy.clouds.frontend.lending import FrontEnd
from imagestoreproxy.clouds.frontend.search import Places, Search
from imagestoreproxy.clouds.frontend.signing import make_pair
from imagestoreproxy.clouds.keys import bundle_keys
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.ports.programs import Finished, ProgramMissingError, ProgramStuckError
from tests.unit.memory import MemoryPrograms, NeverStop

STOP = NeverStop()
KEY, CERTIFICATE = (pem.decode() for pem in make_pair())
PRINTED = b"""export AWS_IAM_URL=http://127.0.0.1:8773/services/Euare;
export EC2_ACCESS_KEY="system";
export EC2_SECRET_KEY="hush-hush";
unset AWS_SESSION_TOKEN;
"""


class Era:
    """An euca_conf: makes an archive, or fails.

    Args:
        with_certificate: tells, of the how manieth call, whether the archive has one.
    """

    def __init__(
        self,
        with_certificate: Callable[[int], bool] = lambda call: True,
        *,
        s3: bool = True,
        says: str = "",
        status: int = 0,
        content: bytes | None = None,
    ) -> None:
        self.calls: list[Sequence[str]] = []
        self.s3 = s3
        self._with_certificate = with_certificate
        self._finished = Finished(status, says.encode(), "")
        self._content = content
        self.fails = bool(says) and content is None

    def __call__(self, arguments: Sequence[str]) -> Finished:
        self.calls.append(arguments)
        archive = Path(arguments[2])
        assert not archive.exists()
        assert " " not in str(archive)
        if self._content is not None:
            archive.write_bytes(self._content)
        elif not self.fails:
            self._write(archive)
        return self._finished

    def _write(self, archive: Path) -> None:
        number = len(self.calls)
        lines = [
            "export EC2_URL=http://cloud:8773/services/Eucalyptus",
            f"export EC2_ACCESS_KEY='access{number}'",
            "export EC2_SECRET_KEY='hush-hush'",
            "export EUCALYPTUS_CERT=${EUCA_KEY_DIR}/cloud-cert.pem",
            "export EC2_USER_ID='123456789012'",
        ]
        if self.s3:
            lines.append("export S3_URL=http://cloud:8773/services/Walrus")
        with zipfile.ZipFile(archive, "w") as opened:
            if self._with_certificate(number):
                lines.append("export EC2_CERT=${EUCA_KEY_DIR}/euca2-cert.pem")
                lines.append("export EC2_PRIVATE_KEY=${EUCA_KEY_DIR}/euca2-pk.pem")
                opened.writestr("euca2-cert.pem", CERTIFICATE)
                opened.writestr("euca2-pk.pem", KEY)
            opened.writestr("eucarc", "\n".join(lines))
            opened.writestr("cloud-cert.pem", CERTIFICATE)


def prefix_with(tmp_path: Path, *names: str) -> Path:
    prefix = tmp_path / "prefix"
    for name in names:
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).touch(mode=0o755)
    return prefix


def front_end(tmp_path: Path, era: Callable[[Sequence[str]], Finished]) -> FrontEnd:
    programs = MemoryPrograms(euca_conf=era)
    return FrontEnd(prefix_with(tmp_path, EUCA_CONF), tmp_path / "data", programs)


def test_an_archive_is_fetched_once_and_kept_private(tmp_path: Path) -> None:
    era = Era()
    first = front_end(tmp_path, era).find(STOP, anew=False)
    again = front_end(tmp_path, era).find(STOP, anew=False)
    assert len(era.calls) == 1
    assert first == again
    assert first is not None
    assert first.access_key == "access1"
    assert first.missing() == []
    kept = tmp_path / "data" / "credentials"
    assert str(kept) in first.origin
    assert "euca_conf" in first.origin
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.iterdir()} == {0o600}
    assert bundle_keys(first)
    left = {path.name for path in (tmp_path / "data").iterdir()}
    assert left == {"credentials", "credentials.asked"}


def test_euca_conf_is_called_with_its_prefix_and_nothing_of_ours(tmp_path: Path) -> None:
    programs = MemoryPrograms(euca_conf=Era())
    prefix = prefix_with(tmp_path, EUCA_CONF)
    FrontEnd(prefix, tmp_path / "data", programs).find(STOP, anew=False)
    (called,) = programs.calls
    assert called[:2] == [str(prefix / EUCA_CONF), "--get-credentials"]
    (environment,) = programs.environments
    assert environment["EUCALYPTUS"] == str(prefix)
    assert set(environment) == {"EUCALYPTUS", "HOME", "PATH", "TMPDIR"}


def test_a_data_directory_with_spaces_does_not_reach_euca_conf(tmp_path: Path) -> None:
    era = Era()  # which looks at it
    programs = MemoryPrograms(euca_conf=era)
    spacious = tmp_path / "data of it"
    found = FrontEnd(prefix_with(tmp_path, EUCA_CONF), spacious, programs).find(STOP, anew=False)
    assert found is not None
    assert (spacious / "credentials" / "eucarc").exists()


def test_the_archive_is_believed_and_not_the_exit_status(tmp_path: Path) -> None:
    found = front_end(tmp_path, Era(status=1)).find(STOP, anew=False)
    assert found is not None
    assert found.access_key == "access1"


@pytest.mark.parametrize(
    ("era", "said"),
    [
        (Era(content=b""), "gave no credentials"),
        (Era(content=b"<html>"), "not a zip archive"),
        (
            Era(says="ERROR: you need to be on the CLC host and the CLC needs to be running."),
            "does not answer: it is not running, or still starting",
        ),
        (
            Era(says="cannot find code in database, please go to the Eucalyptus web UI"),
            "its web interface once",
        ),
        (Era(says="IOError: [Errno 13] Permission denied: x"), "EUCA_USER"),
        (Era(says="ValueError: Unable to find EUCALYPTUS home"), "--eucalyptus"),
        (Era(says="failed to obtain credentals, please try again"), "look at its log"),
        (
            Era(says="odd https://localhost:8443/getX509?user=admin&code=hush-hush", status=3),
            "ended with status 3, saying .odd https://localhost:8443/getX509",
        ),
        (Era(says=" "), "said nothing"),
    ],
)
def test_h8_each_way_in_which_euca_conf_fails_is_told(era: Era, said: str, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=said) as caught:
        front_end(tmp_path, era).find(STOP, anew=False)
    assert "euca_conf" in caught.value.message
    assert "hush" not in caught.value.message
    assert "\n" not in caught.value.message
    assert not (tmp_path / "data" / "credentials").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ProgramStuckError("x"), "did not come to an end"),
        (ProgramMissingError("x"), "what it is run by is not installed"),
        (PermissionError(13, "Permission denied"), "could not be run: Permission denied"),
    ],
)
def test_h8_a_euca_conf_that_cannot_be_run_is_told(
    error: Exception, said: str, tmp_path: Path
) -> None:
    def fail(arguments: Sequence[str]) -> Finished:
        raise error

    with pytest.raises(CloudError, match=said):
        front_end(tmp_path, fail).find(STOP, anew=False)


def test_h8_a_euca_conf_that_this_user_may_not_run_names_the_user_setting(tmp_path: Path) -> None:
    ends = front_end(tmp_path, Era())
    (tmp_path / "prefix" / EUCA_CONF).chmod(0o600)
    with pytest.raises(CloudError, match=r"may not be run by user .*EUCA_USER"):
        ends.find(STOP, anew=False)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"cloud-cert.pem": "C"}, "Cannot read eucarc .*No such file"),
        ({"eucarc": "export EC2_URL=http://a/"}, "No access key in its eucarc"),
        ({"eucarc": "export EC2_SECRET_KEY='hush"}, "Line 1 of eucarc cannot be read"),
    ],
)
def test_h8_an_archive_without_what_counts_is_told_and_not_kept(
    files: dict[str, str], said: str, tmp_path: Path
) -> None:
    def write(arguments: Sequence[str]) -> Finished:
        with zipfile.ZipFile(arguments[2], "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return Finished(0, b"", "")

    with pytest.raises(CloudError, match=said) as caught:
        front_end(tmp_path, write).find(STOP, anew=False)
    assert caught.value.message.startswith("The archive that was fetched cannot be used: ")
    assert "credentials.new" not in caught.value.message
    assert "hush" not in caught.value.message
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["credentials.asked"]


def test_old_credentials_stay_until_the_new_ones_are_complete(tmp_path: Path) -> None:
    era = Era()
    ends = front_end(tmp_path, era)
    ends.find(STOP, anew=False)
    era.fails = True
    with pytest.raises(CloudError):
        ends.find(STOP, anew=True)
    found = ends.find(STOP, anew=False)
    assert found is not None
    assert found.access_key == "access1"
    era.fails = False
    assert (found := ends.find(STOP, anew=True)) is not None
    assert found.access_key == "access3"


def test_what_a_cut_left_of_a_replacement_is_put_back(tmp_path: Path) -> None:
    era = Era()
    front_end(tmp_path, era).find(STOP, anew=False)
    data = tmp_path / "data"
    (data / "credentials").rename(data / "credentials.old")
    found = front_end(tmp_path, era).find(STOP, anew=False)
    assert found is not None
    assert found.access_key == "access1"
    assert len(era.calls) == 1


def test_a_damaged_directory_is_fetched_anew(tmp_path: Path) -> None:
    era, clock = Era(), Clock()
    wallet_of(tmp_path, era, clock).credentials(STOP)
    (tmp_path / "data/credentials/cloud-cert.pem").unlink()
    clock.now_s += 31
    assert wallet_of(tmp_path, era, clock).credentials(STOP).access_key == "access2"


def test_from_4_1_on_the_certificate_of_the_first_archive_is_kept(tmp_path: Path) -> None:
    era = Era(lambda call: call == 1)
    ends = front_end(tmp_path, era)
    ends.find(STOP, anew=False)
    for expected in ("access2", "access3"):
        found = ends.find(STOP, anew=True)
        assert found is not None
        assert found.access_key == expected
        assert found.user_certificate.decode() == CERTIFICATE
        assert found.missing() == []
        assert bundle_keys(found)


def test_where_the_first_archive_is_lost_a_certificate_of_our_own_signs(tmp_path: Path) -> None:
    ends = front_end(tmp_path, Era(lambda call: False))
    found = ends.find(STOP, anew=False)
    assert found is not None
    assert found.is_own_certificate
    assert found.missing() == []
    assert bundle_keys(found)
    assert ends.find(STOP, anew=False) == found


def test_a_check_beside_the_daemon_calls_no_euca_conf_where_it_may_not_write(
    tmp_path: Path,
) -> None:
    era = Era()
    prefix = prefix_with(tmp_path, EUCA_CONF)
    programs = MemoryPrograms(euca_conf=era)
    looking = FrontEnd(prefix, tmp_path / "data", programs, may_fetch=False)
    with pytest.raises(CloudError, match="the daemon fetches them"):
        looking.find(STOP, anew=False)
    assert era.calls == []
    front_end(tmp_path, era).find(STOP, anew=False)
    assert looking.find(STOP, anew=False) is not None


def clcadmin_programs(output: bytes = PRINTED, status: int = 0, errors: str = "") -> MemoryPrograms:
    return MemoryPrograms(
        clcadmin_assume_system_credentials=lambda arguments: Finished(status, output, errors)
    )


def test_system_credentials_are_completed_with_the_region_localhost(tmp_path: Path) -> None:
    prefix = prefix_with(tmp_path, CLCADMIN)
    keys = prefix / "var/lib/eucalyptus/keys"
    keys.mkdir(parents=True)
    (keys / "cloud-cert.pem").write_text(CERTIFICATE)
    places = Places(data_dir=tmp_path / "data", environ={}, prefix=prefix, system=tmp_path)
    search = Search(places, clcadmin_programs(), lambda found, stop: "123456789012")
    found = search.find(STOP)
    assert found.ec2_url == "http://127.0.0.1:8773/services/compute/"
    assert found.s3_url == "http://127.0.0.1:8773/services/objectstorage/"
    assert found.cloud_certificate.decode() == CERTIFICATE
    assert found.account == "123456789012"
    assert found.is_own_certificate
    assert found.missing() == []
    assert bundle_keys(found)
    assert found.user_private_key == search.find(STOP).user_private_key


def test_why_iam_did_not_tell_the_account_is_said(tmp_path: Path) -> None:
    def fail(found: object, stop: object) -> str:
        raise CloudError("IAM at http://127.0.0.1:8773/ is down.")

    prefix = prefix_with(tmp_path, CLCADMIN)
    places = Places(data_dir=tmp_path / "data", environ={}, prefix=prefix, system=tmp_path)
    found = Search(places, clcadmin_programs(), fail).find(STOP)
    assert any("IAM at http://127.0.0.1:8773/ is down." in one for one in found.missing())


def test_h8_a_clcadmin_that_gives_no_keys_is_told(tmp_path: Path) -> None:
    programs = clcadmin_programs(b"", 1, "error: must be root\n")
    ends = FrontEnd(prefix_with(tmp_path, CLCADMIN), tmp_path / "data", programs)
    with pytest.raises(CloudError, match=r"saying .error: must be root.*as root on the cloud"):
        ends.find(STOP, anew=False)


def test_where_euca_conf_fails_its_successor_is_asked(tmp_path: Path) -> None:
    programs = clcadmin_programs()
    programs.programs["euca_conf"] = Era(says="deprecated")
    ends = FrontEnd(prefix_with(tmp_path, EUCA_CONF, CLCADMIN), tmp_path / "data", programs)
    found = ends.find(STOP, anew=False)
    assert found is not None
    assert found.access_key == "system"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def wallet_of(tmp_path: Path, era: Era, clock: Clock) -> FoundWallet:
    prefix = prefix_with(tmp_path, EUCA_CONF)
    places = Places(data_dir=tmp_path / "data", environ={}, prefix=prefix, system=tmp_path)
    return FoundWallet(Search(places, MemoryPrograms(euca_conf=era), now_s=clock), clock)


def test_refused_credentials_are_fetched_again_at_most_once_in_ten_minutes(tmp_path: Path) -> None:
    era, clock = Era(), Clock()
    wallet = wallet_of(tmp_path, era, clock)
    first = wallet.credentials(STOP)
    wallet.refused(first)
    assert wallet.credentials(STOP).access_key == "access1"
    clock.now_s += 599
    assert wallet.credentials(STOP).access_key == "access1"
    clock.now_s += 2
    assert wallet.credentials(STOP).access_key == "access2"
    wallet.refused(first)  # an answer that comes late
    clock.now_s += 10_000
    assert wallet.credentials(STOP).access_key == "access2"
    assert len(era.calls) == 2


def test_without_an_object_store_they_are_fetched_again_later_and_later(tmp_path: Path) -> None:
    """In 1.6 each call adds a certificate, in 2.0 each revokes those before."""
    era, clock = Era(s3=False), Clock()
    wallet = wallet_of(tmp_path, era, clock)
    for _ in range(24 * 60):
        wallet.credentials(STOP)
        clock.now_s += 60
    assert len(era.calls) < 10
    calls = len(era.calls)
    assert "reload the proxy" in " ".join(wallet.credentials(STOP).missing())
    era.s3 = True
    wallet.again()
    assert wallet.credentials(STOP).missing() == []
    assert len(era.calls) == calls + 1


def test_reloads_do_not_make_it_forget_how_often_it_has_asked(tmp_path: Path) -> None:
    """A reload comes with each rotation of the log, too; who reloads a lot calls rarely still."""
    era, clock = Era(s3=False), Clock()
    wallet = wallet_of(tmp_path, era, clock)
    for _ in range(24):
        wallet.credentials(STOP)
        clock.now_s += 3600
    calls = len(era.calls)
    for _ in range(60):
        wallet.again()
        wallet.credentials(STOP)
        clock.now_s += 1
    assert len(era.calls) == calls + 2, "one at once, and one after half a minute"
    for _ in range(12):
        wallet.credentials(STOP)
        clock.now_s += 3600
    assert len(era.calls) <= calls + 3, "the wait goes on to be long"


def test_restarts_do_not_make_it_forget_how_often_it_has_asked(tmp_path: Path) -> None:
    era, clock = Era(s3=False), Clock()
    for _ in range(24 * 4):
        wallet = wallet_of(tmp_path, era, clock)
        wallet.refused(wallet.credentials(STOP))
        wallet.credentials(STOP)
        clock.now_s += 15 * 60
    assert 2 < len(era.calls) < 10


def test_an_archive_that_cannot_be_used_is_not_asked_for_again_and_again(tmp_path: Path) -> None:
    era, clock = Era(content=b"no archive"), Clock()
    wallet = wallet_of(tmp_path, era, clock)
    for _ in range(24 * 60):
        with pytest.raises(CloudError, match="not a zip archive"):
            wallet.credentials(STOP)
        clock.now_s += 60
    assert 5 < len(era.calls) < 15
    assert "Each call changes something" in wallet.problem
    wallet.again()
    calls = len(era.calls)
    with pytest.raises(CloudError):
        wallet.credentials(STOP)
    assert len(era.calls) == calls + 1


def test_who_removes_what_is_kept_wants_it_fetched_at_once(tmp_path: Path) -> None:
    era, clock = Era(), Clock()
    wallet_of(tmp_path, era, clock).credentials(STOP)
    shutil.rmtree(tmp_path / "data/credentials")
    assert wallet_of(tmp_path, era, clock).credentials(STOP).access_key == "access2"


def test_where_there_is_no_room_for_an_archive_none_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "ROOM_BYTES", 1 << 62)
    era = Era()
    with pytest.raises(CloudError, match="cannot be kept"):
        wallet_of(tmp_path, era, Clock()).credentials(STOP)
    assert not era.calls


def test_where_nothing_can_be_kept_nothing_is_asked_for(tmp_path: Path) -> None:
    era = Era()
    wallet = wallet_of(tmp_path, era, Clock())
    (tmp_path / "data/credentials.asked.new").mkdir(parents=True)
    with pytest.raises(CloudError, match="cannot be kept"):
        wallet.credentials(STOP)
    assert not era.calls


def test_credentials_that_come_later_are_found_and_nothing_runs_too_often(tmp_path: Path) -> None:
    era, clock = Era(says="CLC needs to be running"), Clock()
    wallet = wallet_of(tmp_path, era, clock)
    for _ in range(5):
        with pytest.raises(CloudError, match="still starting"):
            wallet.credentials(STOP)
    assert len(era.calls) == 1
    assert wallet.known is None
    era.fails = False
    clock.now_s += 30
    assert wallet.credentials(STOP).access_key == "access2"
    assert wallet.problem == ""
