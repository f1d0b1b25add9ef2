"""P4 and P7 for years: many installs and polls against one daemon leave it as it was."""

from __future__ import annotations

import http.client
import secrets
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from imagestoreproxy.model.signing import signed_pairs
from tests.faults import tally
from tests.faults.ground import at_rest, fake_cloud, make_images, problems, said_500
from tests.functional.rig import CLIENT_ID, SECRET, Rig, fake_rig, wait_for

INSTALLS = 500 if tally.LONG else 6
POLLS = 100_000 if tally.LONG else 600
WARM = 20 if tally.LONG else 2
CLIENTS = 4
# The proxy remembers all signed requests of half a minute, up to 65,536: stay well below.
POLLS_PER_S = 1500
# What may come and go: connections, threads that have not ended yet, pages of the allocator.
MARGIN_FILES = 12
MARGIN_KIB = 12 * 1024


class Poller(threading.Thread):
    """Asks for states over a connection that stays open."""

    def __init__(self, rig: Rig, uris: list[str], polls: int) -> None:
        super().__init__(daemon=True)
        self._port = rig.daemon.port
        self._uris = uris
        self._polls = polls
        self.answered = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        host = f"127.0.0.1:{self._port}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {
            "Host": host,
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        }
        pairs = [("image-uri", uri) for uri in self._uris]
        began_s = time.monotonic()
        for number in range(self._polls):
            due_s = began_s + number * CLIENTS / POLLS_PER_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            signed = signed_pairs(
                SECRET,
                CLIENT_ID,
                "POST",
                host,
                "/api/states",
                pairs,
                now_s=time.time(),
                nonce=str(secrets.randbits(63)),
            )
            try:
                connection.request("POST", "/api/states", urlencode(signed), headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                connection.close()
                continue
            if answer.status == 200 and body.startswith(b"{"):
                self.answered += 1
            else:
                self.wrong.append(f"{answer.status}: {body[:200]!r}")
        connection.close()


@pytest.mark.timeout(600)
def test_h14_p7_memory_and_file_descriptors_are_flat_over_installs_and_polls(
    tmp_path: Path,
) -> None:
    images = make_images(tmp_path / "images", kib=200)
    # Without --debug: each poll would be a line of the log.
    with fake_rig(tmp_path, images) as rig:
        rig.daemon.end()
        rig.daemon.command = [part for part in rig.daemon.command if part != "--debug"]
        rig.daemon.start()
        uris = [image["uri"] for image in rig.daemon.proxy.get("/api/dashboard")["images"]]
        _install_and_uninstall(rig, uris, WARM)
        _poll(rig, uris, min(POLLS, 12_000))
        before = _size(rig)
        done = _both(rig, uris)
        after = wait_for("flat memory", lambda: _flat(rig, before), 45)
        left = problems(rig.daemon, fake_cloud(rig.daemon)) + [str(f) for f in rig.daemon.files()]
        tally.record("soak: installs", tally.INSTALLED, times=INSTALLS, leftovers=len(left))
        tally.record("soak: signed polls", tally.SERVED, times=done)
        tally.note(
            f"Soak: {before[0] / 1024:.1f} MiB resident and {before[1]} open files after warming up,"
            f" {after[0] / 1024:.1f} MiB and {after[1]} files at the end."
        )
        assert not left
        assert not said_500(rig.daemon)
        assert "Traceback" not in rig.daemon.said()


def _both(rig: Rig, uris: list[str]) -> int:
    """Poll while installing; give the number of polls that were answered."""
    pollers = [Poller(rig, uris, POLLS // CLIENTS) for _ in range(CLIENTS)]
    for poller in pollers:
        poller.start()
    _install_and_uninstall(rig, uris, INSTALLS)
    for poller in pollers:
        poller.join(400)
        assert not poller.is_alive()
    return _counted(pollers)


def _poll(rig: Rig, uris: list[str], polls: int) -> None:
    poller = Poller(rig, uris, polls)
    poller.run()
    _counted([poller])


def _counted(pollers: list[Poller]) -> int:
    wrong = [one for poller in pollers for one in poller.wrong]
    if wrong:
        tally.record("soak: signed polls", "not answered", times=len(wrong))
    assert not wrong, wrong[:3]
    return sum(poller.answered for poller in pollers)


def _install_and_uninstall(rig: Rig, uris: list[str], times: int) -> None:
    done = 0
    while done < times:
        batch = uris[: times - done]
        for action, status in (("install", "installed"), ("uninstall", "uninstalled")):
            for uri in batch:
                rig.daemon.act(uri, action)
            states = at_rest(rig.daemon, uris)
            assert all(states[uri]["status"] == status for uri in batch), states
        done += len(batch)


def _size(rig: Rig) -> tuple[int, int]:
    assert rig.daemon.running
    files = list(Path(f"/proc/{rig.daemon.running.pid}/fd").iterdir())
    return rig.daemon.memory_kib("VmRSS"), len(files)


def _flat(rig: Rig, before: tuple[int, int]) -> tuple[int, int] | None:
    memory_kib, files = _size(rig)
    flat = memory_kib <= before[0] + MARGIN_KIB and files <= before[1] + MARGIN_FILES
    return (memory_kib, files) if flat else None
