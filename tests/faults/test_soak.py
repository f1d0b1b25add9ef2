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
from tests.functional.rig import CLIENT_ID, SECRET, Rig, fake_rig

INSTALLS = 500 if tally.LONG else 5
POLLS = 100_000 if tally.LONG else 600
CLIENTS = 4
# The proxy remembers all signed requests of half a minute, up to 65,536: stay well below.
POLLS_PER_S = 1000
# What may come and go: connections, threads that have not ended yet, pages of the allocator.
MARGIN_FILES = 12
MARGIN_KIB = 8 * 1024


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
    with fake_rig(tmp_path, images, is_cold=True) as rig:
        rig.daemon.end()
        rig.daemon.command = [part for part in rig.daemon.command if part != "--debug"]
        rig.daemon.start()
        uris = [image["uri"] for image in rig.daemon.proxy.get("/api/dashboard")["images"]]
        # The first part is longer than a request is remembered: it fills every cache.
        done = _both(rig, uris, POLLS * 2 // 5, INSTALLS * 2 // 5)
        sizes = [_size(rig)]
        for _ in range(3):
            done += _both(rig, uris, POLLS // 5, INSTALLS // 5)
            sizes.append(_size(rig))
        left = problems(rig.daemon, fake_cloud(rig.daemon)) + [str(f) for f in rig.daemon.files()]
        tally.record("soak: installs", tally.INSTALLED, times=INSTALLS, leftovers=len(left))
        tally.record("soak: signed polls", tally.SERVED, times=done)
        told = ", ".join(f"{kib / 1024:.1f} MiB and {files} files" for kib, files in sizes)
        tally.note(f"Soak: resident and open after 2/5, 3/5, 4/5 and all: {told}.")
        assert not left
        assert not said_500(rig.daemon)
        assert "Traceback" not in rig.daemon.said()
        assert sizes[-1][0] <= sizes[0][0] + MARGIN_KIB, told
        assert sizes[-1][1] <= sizes[0][1] + MARGIN_FILES, told


def _both(rig: Rig, uris: list[str], polls: int, installs: int) -> int:
    """Poll while installing; give the number of polls that were answered."""
    pollers = [Poller(rig, uris, polls // CLIENTS) for _ in range(CLIENTS)]
    for poller in pollers:
        poller.start()
    _install_and_uninstall(rig, uris, installs)
    for poller in pollers:
        poller.join(400)
        assert not poller.is_alive()
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
