"""What the service manager is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.task import Clock

from imagestoreproxy.outside.servicemanager import ServiceManager

PID = 4711


class Listener:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.clock = Clock()
        self.heard: list[str] = []
        self.address = ""
        self.manager = ServiceManager(environ, self.clock, pid=PID, way=self._way)

    def _way(self, address: str) -> Callable[[bytes], None]:
        self.address = address
        return lambda message: self.heard.append(message.decode())

    def feeds(self) -> int:
        return self.heard.count("WATCHDOG=1")


def test_it_hears_when_the_daemon_answers_reloads_and_stops() -> None:
    listener = Listener({"NOTIFY_SOCKET": "@manager"})
    listener.manager.ready("Listening on 127.0.0.1:1")
    listener.manager.reloading()
    listener.manager.ready("Listening on 127.0.0.1:1")
    listener.manager.stopping()
    assert listener.address == "@manager"
    assert [message.split("\n")[0] for message in listener.heard] == [
        "READY=1", "RELOADING=1", "READY=1", "STOPPING=1",
    ]  # fmt: skip
    assert listener.heard[0] == "READY=1\nSTATUS=Listening on 127.0.0.1:1"
    assert listener.heard[1].split("\n")[1].startswith("MONOTONIC_USEC=")


def test_a_reload_that_ends_after_the_stop_began_does_not_say_that_it_answers() -> None:
    listener = Listener({"NOTIFY_SOCKET": "/run/manager"})
    listener.manager.stopping()
    listener.manager.ready("Listening")
    assert len(listener.heard) == 1


def test_the_reactor_feeds_the_watchdog_three_times_in_its_time_until_the_stop() -> None:
    listener = Listener({"NOTIFY_SOCKET": "@m", "WATCHDOG_USEC": "3000000"})
    listener.clock.advance(10)
    assert listener.feeds() == 0, "not before it answers: the start has a limit of its own"
    listener.manager.ready("")
    assert listener.feeds() == 1
    listener.clock.pump([1] * 6)
    assert listener.feeds() == 7
    listener.manager.ready("again")
    assert listener.feeds() == 7
    listener.manager.stopping()
    listener.clock.pump([1] * 3)
    assert listener.feeds() == 7
    assert not listener.clock.getDelayedCalls()


def test_a_watchdog_of_another_process_or_none_is_not_fed() -> None:
    others = {"NOTIFY_SOCKET": "@m", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}
    for environ in (others, {"NOTIFY_SOCKET": "@m"}, {"NOTIFY_SOCKET": "@m", "WATCHDOG_USEC": "x"}):
        listener = Listener(environ)
        listener.manager.ready("")
        assert not listener.clock.getDelayedCalls()
        assert listener.feeds() == 0


def test_without_a_manager_nothing_is_told() -> None:
    listener = Listener({"WATCHDOG_USEC": "3000000"})
    listener.manager.ready("")
    listener.manager.stopping()
    assert listener.heard == []
    assert not listener.clock.getDelayedCalls()


def test_a_manager_that_has_gone_does_not_stop_the_daemon() -> None:
    def gone(_message: bytes) -> None:
        raise ConnectionRefusedError

    manager = ServiceManager({"NOTIFY_SOCKET": "@m"}, Clock(), pid=PID, way=lambda _: gone)
    manager.ready("")
    manager.stopping()
