"""A signal at a random moment of a random action, over and over on one data directory.

A life is a fresh data directory, a store and a cloud. In each round something is asked for, the
daemon is killed at a random moment (sometimes once more while it recovers), started again, and
once nothing is in progress the cloud, the records and the disk must agree.
"""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field

from imagestoreproxy.client.requests import ClientError
from tests.faults import tally
from tests.faults.ground import AT_REST, Look, at_rest, errors, problems, said_500
from tests.functional.rig import Rig, State, wait_for

GROWS = "Example Database"
# What a round may do, and how often; an upgrade comes when everything before it was killed once.
KINDS = (
    *("install", "two at once", "two at once", "cancel", "cancel", "uninstall"),
    *("pause", "pause", "two at once and pause"),
)
STEPS = ("", "", "", "downloading", "unpacking", "uploading", "registering", "undoing")


@dataclass
class Life:
    """One data directory, and what was done to it.

    Args:
        kind: names the cloud in the table.
        look: tells what the cloud holds.
        span_s: about how long an action takes; the signal comes within.
        number: of the signal that ends the daemon; before others than SIGKILL comes a SIGHUP,
            which must do nothing.
    """

    rig: Rig
    kind: str
    random: random.Random
    look: Look
    span_s: float
    number: signal.Signals = signal.SIGKILL
    rounds: int = 8
    uris: list[str] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    kills: int = 0

    def live(self) -> None:
        """Run all rounds; raises AssertionError that tells what was done so far."""
        images = self.rig.daemon.proxy.get("/api/dashboard")["images"]
        self.uris = sorted(image["uri"] for image in images)
        self.states = at_rest(self.rig.daemon, self.uris)
        upgrade_at = self.random.randrange(self.rounds // 2, self.rounds)
        for number in range(self.rounds):
            try:
                self._round("upgrade" if number == upgrade_at else self.random.choice(KINDS))
            except (AssertionError, ClientError, KeyError, OSError) as error:
                tally.record(self._line(), "not at rest or not well")
                told = "; then ".join(self.done)
                raise AssertionError(
                    f"FAULTS_SEED={tally.SEED}, round {number}: {told}: {error}"
                ) from error
        self.rig.daemon.end()
        if count := said_500(self.rig.daemon):
            tally.record(self._line(), tally.CLEAN, times=0, errors_500=count)
            raise AssertionError(f"the daemon answered {count} times with status 500")

    def _round(self, action: str) -> None:
        expected = self._begin(action)
        self._kill(action)
        self.rig.store.control(reset=True)
        self.rig.daemon.start()
        self._unpause(expected)
        if self.random.random() < 0.25:
            time.sleep(self.random.uniform(0, self.span_s))
            self._kill("again")
            self.rig.daemon.start()
        self.states = at_rest(self.rig.daemon, self.uris)
        self._check(expected)

    def _begin(self, action: str) -> dict[str, tuple[str, ...]]:
        """Ask for something; give the states in which the images may be in the end."""
        expected: dict[str, tuple[str, ...]] = {
            uri: (state["status"],) for uri, state in self.states.items()
        }
        self.rig.store.control(
            fault="slow", path="/api/files/", rate=self.random.choice((200_000, 1_000_000, 10**8))
        )
        self.paused = []
        if action == "upgrade":
            expected |= self._upgrade()
            if self.random.random() < 0.5:
                self._pause(self.rig.image(GROWS))
            return expected
        free = self._some("uninstalled", 2)
        if not free or (action == "uninstall" and self._some("installed", 1)):
            for uri in self._some("installed", 2):
                expected[uri] = self._ask(uri, "uninstall", ("uninstalled",))
            return expected
        for uri in free if action.startswith("two at once") else free[:1]:
            expected[uri] = self._ask(uri, "install", ("installed",))
            if action == "cancel":
                time.sleep(self.random.uniform(0, self.span_s))
                self._ask(uri, "cancel", AT_REST)
                expected[uri] = AT_REST
        if action.endswith("pause"):
            self._pause(free[0])
        return expected

    def _pause(self, uri: str) -> None:
        """Pause an install somewhere; now and then it is resumed at once, and paused again."""
        time.sleep(self.random.uniform(0, self.span_s))
        clicks = self.random.choice((["pause"], ["pause", "resume"], ["pause", "resume", "pause"]))
        for action in clicks:
            if not self._click(uri, action):
                return
            time.sleep(self.random.choice((0, 0, self.random.uniform(0, self.span_s))))

    def _click(self, uri: str, action: str) -> bool:
        """Click if it is offered; False if it is not, or was refused because it was too late."""
        if action not in self.rig.daemon.state(uri)["actions"]:
            return False
        self.done.append(f"{action} {uri.rpartition('/')[2]}")
        try:
            state = self.rig.daemon.act(uri, action)
        except (KeyError, ClientError):
            self.done.append("which came too late")
            return False
        is_paused = state.get("stage") == "paused"
        assert is_paused is (action == "pause"), f"after {action}: {state}"
        self.paused = [uri] if is_paused else []
        return True

    def _unpause(self, expected: dict[str, tuple[str, ...]]) -> None:
        """Look whether what was paused still is; then let it go on, or cancel it."""
        for uri in self.paused:
            for _ in range(3):
                state = self.rig.daemon.state(uri)
                assert "resume" in state["actions"], f"paused no longer: {state}"
                time.sleep(0.01)
            if self.random.random() < 0.3:
                self._ask(uri, "cancel", AT_REST)
                expected[uri] = ("uninstalled",)  # also where an older version is installed
            elif self._click(uri, "resume"):
                expected[uri] = ("installed",)

    def _some(self, status: str, count: int) -> list[str]:
        fit = [uri for uri in self.uris if self.states[uri]["status"] == status]
        return self.random.sample(fit, min(count, len(fit)))

    def _upgrade(self) -> dict[str, tuple[str, ...]]:
        uri = self.rig.image(GROWS)
        if self.states[uri]["status"] != "installed":
            self.rig.daemon.act(uri, "install")
            self.rig.daemon.wait(uri, "installed")
        self.rig.store.control(newer=True)
        self.rig.daemon.end()
        self.rig.daemon.start()
        wait_for("the newer version", lambda: self._sees_newer(uri))
        return {uri: self._ask(uri, "install", ("installed",))}

    def _sees_newer(self, uri: str) -> bool:
        self.rig.daemon.proxy.get("/api/dashboard")
        return bool(self.rig.daemon.state(uri)["is-upgrade"])

    def _ask(self, uri: str, action: str, then: tuple[str, ...]) -> tuple[str, ...]:
        state = self.rig.daemon.state(uri)
        if action not in state["actions"]:
            return (state["status"],) if state["status"] in AT_REST else AT_REST
        self.done.append(f"{action} {uri.rpartition('/')[2]}")
        try:
            self.rig.daemon.act(uri, action)
        except (KeyError, ClientError):
            # Over before the click came; what it is then is known when all is at rest.
            state = self.rig.daemon.state(uri)
            if state["status"] in AT_REST or action not in state["actions"]:
                return AT_REST
            raise
        return then

    def _kill(self, action: str) -> None:
        step = self.random.choice(STEPS)
        wait_s = self.random.uniform(0, self.span_s)
        if step and action != "again":
            self._watch_for(step)
            wait_s /= 20
        time.sleep(wait_s)
        running = self.rig.daemon.running
        assert running
        if self.number != signal.SIGKILL:
            running.send_signal(signal.SIGHUP)
            time.sleep(self.random.uniform(0, self.span_s / 4))
            assert running.poll() is None, "SIGHUP has ended the daemon"
        status = self.rig.daemon.end(self.number)
        assert status == (-self.number if self.number == signal.SIGKILL else 0), status
        self.kills += 1
        self.done.append(f"{self.number.name} ({step or 'anywhere'} + {wait_s:.3f} s)")

    def _watch_for(self, step: str) -> None:
        ends_s = time.monotonic() + 2
        while time.monotonic() < ends_s:
            answer = self.rig.daemon.proxy.post(
                "/api/states", [("image-uri", uri) for uri in self.uris]
            )
            stages = {state.get("stage") for state in answer["states"]}
            if step in stages or stages <= {None, "paused"}:
                return

    def _line(self) -> str:
        return f"{self.number.name}, {self.kind}"

    def _check(self, expected: dict[str, tuple[str, ...]]) -> None:
        wrong = problems(self.rig.daemon, self.look)
        wrong += [f"{uri}: {message}" for uri, message in errors(self.states).items()]
        ends = {uri: state["status"] for uri, state in self.states.items()}
        strange = [f"{u} is {ends[u]}" for u, fit in expected.items() if ends[u] not in fit]
        wrong += strange
        assert not wrong, "; ".join(wrong)
        times, self.kills = self.kills, 0
        is_in = any(ends[uri] == "installed" for uri, fit in expected.items())
        tally.record(self._line(), tally.INSTALLED if is_in else tally.CLEAN, times=times)
