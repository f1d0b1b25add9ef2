"""Clicks, crashes, restarts and a slow cloud in any order: all that is said stays true."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imagestoreproxy.model.errors import CallerError, Cancelled, CloudError
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import ACTIVE, Action, State
from tests.unit.memory import (
    LIMITS,
    URI,
    Daemon,
    MemoryDisk,
    World,
    boot,
    make_document,
    make_file,
    result,
    trio,
)

OTHER = f"{URI}/other"
CLICKS = ("install", "pause", "pause", "resume", "resume", "retry", "cancel", "clear_error")
SLOW = {
    *("check", "store", "seal", "register", "find", "deregister", "remove"),  # of the cloud
    *("download", "document"),  # of the source
    *("save_install", "save_bundle", "remove_bundle", "remove_install", "complete"),  # of records
}
# Those that have died. Collected, their coroutines would run on to where they clean up, which no
# process that was killed does.
DEAD: list[object] = []
RECORDS = {"save_install", "save_bundle", "remove_bundle", "remove_install", "complete"}


class Call(Deferred[Any]):
    """A call in a thread: it ends when it is let go, and a cancel is heard only then."""

    is_cancelled = False

    def __init__(self, name: str, what: object, work: Callable[[], Any]) -> None:
        super().__init__()
        self.name = name
        self.what = what
        self._work = work

    def cancel(self) -> None:
        self.is_cancelled = True

    def let_go(self, *, was_done: bool = True) -> None:
        """End it; what was cancelled may have been done or not."""
        if self.is_cancelled and not was_done:
            self.errback(Cancelled())
            return
        done: Deferred[Any] = self._work()
        if self.is_cancelled:
            done.addBoth(lambda _: None)
            self.errback(Cancelled())
        else:
            done.chainDeferred(self)


class Net:
    """Every slow call of one life of the daemon, until it is let go."""

    def __init__(self) -> None:
        self.waiting: list[Call] = []

    def around(self, port: Any) -> Any:
        return _Slow(self, port)

    def next_ones(self) -> list[Call]:
        """Give those that may end now: of the records' only the first, there is one thread."""
        records = [one for one in self.waiting if one.name in RECORDS]
        return [one for one in self.waiting if one not in records[1:]]

    def let_go(self, number: int, *, was_done: bool = True) -> None:
        may = self.next_ones()
        if may:
            one = may[number % len(may)]
            self.waiting.remove(one)
            one.let_go(was_done=was_done)

    def let_all_go(self) -> None:
        while self.waiting:
            self.let_go(0)


class _Slow:
    def __init__(self, net: Net, port: Any) -> None:
        self._net, self._port = net, port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in SLOW:
            return method

        def call(*args: Any, **kwargs: Any) -> Call:
            made = Call(name, args[0] if args else "", lambda: method(*args, **kwargs))
            self._net.waiting.append(made)
            return made

        return call


class AnyOrder(RuleBasedStateMachine):
    """Two images that share a kernel, and place for one install at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[Failure] = []
        self.directory = tempfile.TemporaryDirectory()
        self.world = World(MemoryDisk(Path(self.directory.name)))
        document = trio(self.world.fetcher)
        image = make_file(self.world.fetcher, FileKind.IMAGE, b"another image" * 300)
        self.world.sources.offer(document)
        self.world.sources.offer(make_document([*document.files[:2], image], uri=OTHER))

    @initialize(times=st.integers(0, 40))
    def begin(self, times: int) -> None:
        """Begin in the middle of the first of two installs."""
        self.start()
        for uri in (URI, OTHER):
            self.click("install", uri)
        self.go_on(0, was_done=True, times=times)

    def start(self) -> None:
        self.net = Net()
        self.daemon: Daemon = boot(
            self.world, around=self.net.around, limits=replace(LIMITS, max_installs=1)
        )
        taking_up = Deferred.fromCoroutine(self.daemon.actions.take_up())
        while not taking_up.called:
            self.net.let_go(0)
        result(taking_up)

    @rule(action=st.sampled_from(CLICKS), uri=st.sampled_from([URI, OTHER]))
    def click(self, action: str, uri: str) -> None:
        offered = {one.replace("-", "_") for one in self.state(uri).actions}

        async def clicked() -> None:
            try:
                await getattr(self.daemon.store, action)(uri)
            except CallerError as error:
                assert error.status == 409, error.message
                assert action not in offered, f"{action} was offered: {error.message}"

        Deferred.fromCoroutine(clicked()).addErrback(self.wrong.append)

    @rule(number=st.integers(0, 5), uri=st.sampled_from([URI, OTHER]))
    def click_what_is_offered(self, number: int, uri: str) -> None:
        offered = self.state(uri).actions
        # A cancel ends it all, so it comes less often.
        actions = [one for one in offered if number == 5 or one is not Action.CANCEL]
        if actions:
            self.click(actions[number % len(actions)].replace("-", "_"), uri)

    @rule(number=st.integers(0, 5), was_done=st.booleans(), times=st.integers(1, 6))
    def go_on(self, number: int, was_done: bool, times: int) -> None:
        for _ in range(times):
            self.net.let_go(number, was_done=was_done)
            self.daemon.clock.twisted.advance(0.05)

    @rule(seconds=st.sampled_from([0.05, 2.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.daemon.clock.twisted.advance(seconds)

    @rule(call=st.sampled_from(["store", "register", "remove", "seal"]), is_well=st.booleans())
    def trouble(self, call: str, is_well: bool) -> None:
        self.world.cloud.trouble.pop(call, None)
        if not is_well:
            self.world.cloud.trouble[call] = CloudError(f"{call} went wrong")

    @rule(uri=st.sampled_from([URI, OTHER]), times=st.integers(0, 6))
    def pause_and_resume(self, uri: str, times: int) -> None:
        """Let it go on before or after it has really ended."""
        self.click("pause", uri)
        self.go_on(0, was_done=False, times=times)
        self.click("resume", uri)

    @rule(done=st.booleans(), often=st.integers(0, 4))
    def crash(self, done: bool, often: int) -> None:
        """Die; what was on its way may have reached the other side, or not."""
        if often:
            return
        paused = [uri for uri, row in self.rows() if row is State.PAUSED]
        for one in self.net.next_ones() if done else ():
            if one.name not in RECORDS:
                one._work()
        DEAD.append((self.daemon, self.net))
        self.start()
        for uri in paused:
            assert Action.RESUME in self.state(uri).actions, "a restart has resumed it"

    @invariant()
    def nothing_is_registered_twice(self) -> None:
        locations = list(self.world.cloud.registered.values())
        assert len(set(locations)) == len(locations)

    @invariant()
    def what_is_paused_stands_still(self) -> None:
        for work in self.daemon.inventory.works.values():
            if work.state is State.PAUSED:
                assert work.task is None
                assert not work.queue_position

    @invariant()
    def no_file_is_fetched_twice_at_a_time(self) -> None:
        urls = [one.what for one in self.net.waiting if one.name == "download"]
        assert len(set(urls)) == len(urls)

    @invariant()
    def every_click_is_done_or_refused_in_words(self) -> None:
        assert not self.wrong, self.wrong[0].getTraceback()

    def state(self, uri: str) -> Any:
        return self.daemon.store.states([uri]).states[0]

    def rows(self) -> list[tuple[str, State]]:
        return [(uri, row.state) for uri, row in self.world.records.installs.items()]

    def come_to_rest(self) -> None:
        for _ in range(80):
            self.net.let_all_go()
            self.daemon.clock.twisted.advance(5.0)

    def teardown(self) -> None:
        """All is well again: everything ends, and the records say what the cloud holds."""
        self.world.cloud.trouble.clear()
        self.come_to_rest()
        for uri in (URI, OTHER):
            work = self.daemon.inventory.works.get(uri)
            assert not work or work.state in (State.PAUSED, State.FAILED), work.state
            if work and work.state is State.PAUSED:
                self.click("resume", uri)
        self.come_to_rest()
        for uri in (URI, OTHER):
            if Action.CLEAR_ERROR in self.state(uri).actions:
                self.click("clear_error", uri)
        self.come_to_rest()
        works, cloud, records = self.daemon.inventory.works, self.world.cloud, self.world.records
        assert not [work for work in works.values() if work.state in ACTIVE]
        bundles = [bundle for one in records.installations for bundle in one.bundles]
        assert set(cloud.registered) == {bundle.image_id for bundle in bundles}
        assert set(cloud.stored) == {bundle.bucket for bundle in bundles}
        assert not records.installs
        assert not records.bundles
        assert not self.world.disk.files
        for one in records.installations:
            assert [bundle.kind for bundle in one.bundles] == list(FileKind)
        self.directory.cleanup()


AnyOrder.TestCase.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
TestAnyOrder = AnyOrder.TestCase
