"""Who may ask because of the cloud's credentials, and what is told while there are none."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.clouds.frontend.eucaconf import NAME as EUCA_CONF
from imagestoreproxy.cloudside import NOBODY, SEARCH_S, CloudSide, make_cloud
from imagestoreproxy.config.settings import Settings
from imagestoreproxy.model.errors import CloudError, SettingsError
from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.model.running import run_guide
from imagestoreproxy.ports.programs import Finished
from tests.unit.logins import Browser
from tests.unit.memory import InlineBackground, MemoryClock, MemoryJournal, MemoryPrograms, result
from tests.unit.memory_store import CLIENT, SECRET, MemorySite, raw_request


class Journal(MemoryJournal):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def info(self, text: str, **fields: object) -> None:
        self.lines.append(text.format(**fields))


class Front:
    """A front end whose cloud may not run yet."""

    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        self.path = tmp_path
        self.is_up = False
        self.calls = 0
        program = tmp_path / "prefix" / EUCA_CONF
        program.parent.mkdir(parents=True)
        program.touch(0o755)
        self.journal = Journal()
        self.background = InlineBackground(self.journal)
        self.settings = Settings(
            data_dir=tmp_path / "data",
            sources=(),
            cloud="ec2",
            eucalyptus=tmp_path / "prefix",
            **settings,
        )
        self.side = self.another()

    def another(self) -> CloudSide:
        programs = MemoryPrograms(euca_conf=self._euca_conf)
        environ = {"HOME": str(self.path)}
        return CloudSide(self.settings, environ, programs, self.background)

    def _euca_conf(self, arguments: Sequence[str]) -> Finished:
        self.calls += 1
        if not self.is_up:
            return Finished(1, b"ERROR: the CLC needs to be running.", "")
        with zipfile.ZipFile(arguments[2], "w") as archive:
            archive.writestr(
                "eucarc", "export EC2_ACCESS_KEY='admin'\nexport EC2_SECRET_KEY='hush'\n"
            )
        return Finished(0, b"", "")


def test_nobody_may_ask_before_there_are_credentials_and_then_the_administrator(
    tmp_path: Path,
) -> None:
    front = Front(tmp_path)
    result(front.side.look())
    assert front.side.keys.absence == NOBODY
    assert str(tmp_path) not in NOBODY
    assert front.side.keys.secret_for("admin") is None
    front.is_up = True
    front.side.again()
    result(front.side.look())
    assert front.side.keys.absence == ""
    assert front.side.keys.secret_for("admin") == "hush"
    assert front.side.keys.secret_for("Admin") is None
    assert front.side.keys.secret_for("\u00fc") is None


def test_administrators_of_a_file_may_ask_too_even_before_the_cloud_is_up(tmp_path: Path) -> None:
    people = tmp_path / "people"
    front = Front(tmp_path, administrators=str(people))
    people.write_text("[ann]\naws_access_key_id = ann\naws_secret_access_key = of-ann\n")
    result(front.side.look())
    assert front.side.keys.absence == ""
    assert front.side.keys.secret_for("ann") == "of-ann"
    assert front.side.keys.secret_for("admin") is None
    front.is_up = True
    front.side.again()
    result(front.side.look())
    assert front.side.keys.secret_for("ann") == "of-ann"
    assert front.side.keys.secret_for("admin") == "hush"
    assert f"1 administrator in {people}" in result(front.side.findings())[0].note


def test_it_is_looked_again_by_itself_and_the_log_tells_once(tmp_path: Path) -> None:
    front = Front(tmp_path)
    clock = MemoryClock()
    task = front.background.start("credentials", front.side.run(clock, front.journal))
    for _ in range(30):
        clock.twisted.advance(1)
    assert front.calls <= 1 + 30 / SEARCH_S
    (line,) = front.journal.lines
    assert "it is not running, or still starting" in line
    front.is_up = True
    front.side.again()
    clock.twisted.advance(3)
    assert f"credentials from {tmp_path / 'data/credentials'}" in front.journal.lines[1]
    clock.twisted.advance(3)
    told = len(front.journal.lines)
    for _ in range(100):
        clock.twisted.advance(3)
    assert len(front.journal.lines) == told
    task.cancel()


def test_why_there_are_none_is_what_a_check_and_an_install_are_told(tmp_path: Path) -> None:
    front = Front(tmp_path)
    cloud = make_cloud(front.settings, front.side.wallet, front.background, MemoryPrograms())
    assert "looked for" in result(front.side.findings())[0].problem
    with pytest.raises(CloudError, match="it is not running, or still starting") as caught:
        result(cloud.check())
    assert result(front.side.findings())[0].problem == caught.value.message
    assert not caught.value.retry_helps


def test_a_check_names_where_they_come_from(tmp_path: Path) -> None:
    front = Front(tmp_path)
    front.is_up = True
    result(front.side.look())
    (finding,) = result(front.side.findings())
    assert str(tmp_path / "data/credentials") in finding.note
    assert "euca_conf" in finding.note
    assert "hush" not in repr(finding)


def test_the_run_guide_loads_what_was_fetched(tmp_path: Path) -> None:
    front = Front(tmp_path)
    assert front.side.place().eucarc == ""
    front.is_up = True
    result(front.side.look())
    guide = run_guide(ImageInfo("u"), "emi-1", front.side.place())
    assert guide.ways[0].commands[0] == f". {tmp_path}/data/credentials/eucarc"


@pytest.mark.parametrize("is_there", [False, True], ids=["no directory", "no eucarc"])
def test_what_an_option_names_may_come_later_and_its_lack_is_told(
    is_there: bool, tmp_path: Path
) -> None:
    directory = tmp_path / "later"
    if is_there:
        directory.mkdir()
    front = Front(tmp_path, credentials_dir=str(directory))
    clock = MemoryClock()
    task = front.background.start("credentials", front.side.run(clock, front.journal))
    (line,) = front.journal.lines
    assert f"Cannot read {directory}/eucarc" in line
    assert result(front.side.findings())[0].problem == line
    assert front.side.keys.absence == NOBODY
    assert front.calls == 0, "nothing else is looked at"
    directory.mkdir(exist_ok=True)
    eucarc = "export EC2_ACCESS_KEY='admin'\nexport EC2_SECRET_KEY='hush'\n"
    (directory / "eucarc").write_text(eucarc)
    for _ in range(int(SEARCH_S)):
        clock.twisted.advance(1)
    assert front.side.keys.secret_for("admin") == "hush"
    task.cancel()


def test_a_wrong_profile_is_told_and_the_usual_places_do_not_help_out(tmp_path: Path) -> None:
    front = Front(tmp_path, profile="ann")
    result(front.side.look())
    assert "profile 'ann'" in result(front.side.findings())[0].problem
    assert front.calls == 0


@pytest.mark.parametrize("option", ["credentials_dir", "administrators"])
def test_the_home_of_nobody_is_told_with_the_option(option: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"--{option.replace('_', '-')}: nobody's home"):
        Front(tmp_path, **{option: "~nobody-at-all/x"})


def test_a_signed_request_is_told_503_while_nobody_is_known() -> None:
    site = MemorySite()
    site.keys.absence = NOBODY
    site.keys.clear()
    reply = site.get("/api/dashboard")
    assert reply.status == 503
    assert reply.json["error-message"] == NOBODY
    assert site.ask(raw_request("GET", "/api/dashboard", [])).status == 401
    assert site.ask(raw_request("GET", "/healthz", [])).status == 200
    assert site.ask(raw_request("GET", "/", [])).status == 200
    site.keys.absence = ""
    site.keys[CLIENT] = SECRET
    assert site.get("/api/dashboard").status == 200


def test_a_session_outlives_a_time_without_credentials() -> None:
    browser = Browser(MemorySite())
    browser.log_in()
    site = browser.site
    site.keys.absence = NOBODY
    site.keys.clear()
    assert browser.get("/api/dashboard").status == 503
    assert browser.get("/").status == 200
    again = MemorySite(records=site.records)
    again.keys.absence = NOBODY
    again.keys.clear()
    result(again.sessions.load())
    again.keys.absence = ""
    again.keys[CLIENT] = SECRET
    assert Browser(again, browser.cookie, browser.csrf_token).get("/api/dashboard").status == 200
