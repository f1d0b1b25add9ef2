"""By what the work is done: found out once, and anew only while nothing is under way."""

from __future__ import annotations

from typing import cast

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.current import Choice, CurrentCloud
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.clouds.wallet import FixedWallet
from imagestoreproxy.model.images import Virtualization
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Stop
from tests.unit.memory import URI, InlineBackground, MemoryCloud, MemoryJournal, World, result
from tests.unit.memory import started as a_daemon
from tests.unit.test_actions import hold

LESS = Taking(virtualizations=frozenset({Virtualization.PARAVIRTUAL}))


class Machine:
    """A machine on which euca2ools come and go."""

    def __init__(self) -> None:
        self.tools = ""
        self.asked = 0
        self.made: list[str] = []
        self.is_idle = True
        wallet = FixedWallet(Credentials("here", "a", "b"))
        self.cloud = CurrentCloud(InlineBackground(MemoryJournal()), wallet, self._choose, Taking())

    def _choose(self, stop: Stop) -> Choice:
        self.asked += 1
        tools = self.tools

        def make(_credentials: Credentials) -> Ec2Cloud:
            self.made.append(tools)
            return cast(Ec2Cloud, MemoryCloud())

        return Choice(make, LESS if tools else Taking(), f"by {tools or 'itself'}", tools)

    def choose(self) -> str:
        return result(self.cloud.choose(lambda: self.is_idle))


def test_it_is_found_out_once_unless_somebody_wants_it_anew() -> None:
    machine = Machine()
    assert result(machine.cloud.choose()) == "by itself"
    machine.tools = "euca2ools 3.4"
    assert result(machine.cloud.choose()) == "by itself"
    result(machine.cloud.check())
    assert machine.asked == 1
    assert machine.cloud.name == "ec2"


def test_tools_that_were_installed_meanwhile_do_what_is_begun_after_that() -> None:
    machine = Machine()
    machine.choose()
    result(machine.cloud.check())
    machine.tools = "euca2ools 3.4"
    assert machine.choose() == "by euca2ools 3.4"
    assert machine.cloud.name == "euca2ools"
    assert machine.cloud.bundles_on_disk
    assert machine.cloud.taking == LESS
    result(machine.cloud.check())
    machine.choose()
    result(machine.cloud.check())
    assert machine.made == ["", "euca2ools 3.4"], "what stays the same is not made anew"


def test_nothing_changes_while_something_is_under_way() -> None:
    machine = Machine()
    machine.choose()
    machine.tools, machine.is_idle = "euca2ools 3.4", False
    assert machine.choose() == "by itself"
    assert machine.cloud.name == "ec2"
    assert machine.asked == 1


def test_an_install_is_under_way_until_it_has_ended_or_is_paused(world: World) -> None:
    held = hold(world, "cloud", "store")
    daemon = a_daemon(world)
    assert daemon.inventory.is_idle()
    result(daemon.store.install(URI))
    assert held.waiting
    assert not daemon.inventory.is_idle()
    result(daemon.store.pause(URI))
    assert daemon.inventory.is_idle()
