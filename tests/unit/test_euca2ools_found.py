"""Which euca2ools are there, and whether they do the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from imagestoreproxy.clouds.euca2ools.cloud import taking_with
from imagestoreproxy.clouds.euca2ools.found import euca2ools_found
from imagestoreproxy.clouds.euca2ools.generations import (
    ALL,
    NEEDED,
    V1_2,
    V1_3,
    V2_0,
    V3_0,
    V3_1,
    Generation,
)
from imagestoreproxy.clouds.euca2ools.home import Home
from imagestoreproxy.clouds.euca2ools.tools import Patience, find_tools
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.images import Architecture, Virtualization
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports.programs import Finished
from tests.unit.memory import MemoryPrograms, NeverStop

Program = Callable[[Sequence[str]], Finished]


def says(text: str, status: int = 0) -> Program:
    return lambda _arguments: Finished(status, text.encode(), "")


def programs(version: Program, **others: Program) -> MemoryPrograms:
    usage = says("usage: image --ramdisk", 1)
    tools = {tool.replace("-", "_"): usage for tool in NEEDED}
    return MemoryPrograms(**{**tools, "euca_version": version, **others})


@pytest.mark.parametrize("choice", ["auto", "euca2ools"])
def test_tools_that_are_there_and_answer_do_the_work(choice: str) -> None:
    found = euca2ools_found(choice, "", programs(says("euca2ools 3.4.1 (Newton)")), NeverStop())
    assert found.tools
    assert found.tools.generation is V3_1
    assert found.why == "euca2ools 3.4.1 do the work"


def test_tools_are_given_up_when_all_of_them_together_take_too_long() -> None:
    there = programs(says("euca2ools 3.4.1 (Newton)"))
    with pytest.raises(CloudError, match="do not work"):
        find_tools(there, "", NeverStop(), Patience(asked_s=-1))
    assert not there.calls


@pytest.mark.parametrize("choice", ["ec2", "fake"])
def test_tools_that_nobody_wants_are_not_run(choice: str) -> None:
    there = programs(says("euca2ools 3.4.1 (Newton)"))
    assert euca2ools_found(choice, "", there, NeverStop()).tools is None
    assert not there.calls


TRACEBACK = says("Traceback (most recent call last):\nImportError: No module named lxml", 1)


def no_program(_arguments: Sequence[str]) -> Finished:
    raise OSError(8, "Exec format error")


BROKEN = [
    programs(says("euca2ools 3.4.1"), euca_bundle_image=no_program),
    MemoryPrograms(),
    MemoryPrograms(euca_version=says("euca2ools 3.4.1 (Newton)")),
    programs(says("euca2ools 3.4.1"), euca_bundle_image=TRACEBACK),
    programs(TRACEBACK, **{tool.replace("-", "_"): TRACEBACK for tool in NEEDED}),
    programs(says("something else"), euca_register=says("")),
]


@pytest.mark.parametrize("there", BROKEN)
def test_auto_asks_the_cloud_directly_where_they_do_not_work_and_says_why(
    there: MemoryPrograms,
) -> None:
    found = euca2ools_found("auto", "", there, NeverStop())
    assert found.tools is None
    assert found.why.startswith("the cloud is asked directly: ")
    assert "euca" in found.why


@pytest.mark.parametrize(("choice", "directory"), [("euca2ools", ""), ("auto", "/opt/tools")])
@pytest.mark.parametrize("there", BROKEN)
def test_tools_that_somebody_has_named_must_work(
    there: MemoryPrograms, choice: str, directory: str
) -> None:
    with pytest.raises(CloudError, match="--cloud=ec2"):
        euca2ools_found(choice, directory, there, NeverStop())


def test_those_of_a_directory_come_before_those_of_the_system() -> None:
    there = programs(says("euca2ools 2.0.2"))
    found = euca2ools_found("auto", "/opt/tools", there, NeverStop())
    assert found.tools
    assert found.tools.path.startswith("/opt/tools:/usr/local/sbin:")
    assert all(one["PATH"] == found.tools.path for one in there.environments)
    assert all(one["HOME"] == "/nonexistent" for one in there.environments)


def test_tools_built_from_the_repository_are_known_by_their_help_or_by_their_name() -> None:
    built = says("main-31337 2009-04-04")
    old = programs(built, euca_register=says("image_location", 1))
    assert (found := euca2ools_found("auto", "", old, NeverStop()).tools)
    assert found.generation is V1_2
    mute = programs(built, **{t.replace("-", "_"): says("see the manual page") for t in NEEDED})
    assert (found := euca2ools_found("auto", "", mute, NeverStop()).tools)
    assert found.generation is V1_3
    assert found.version == "1.3"


@pytest.mark.parametrize("generation", ALL, ids=lambda one: one.name)
def test_what_the_tools_cannot_tell_a_cloud_is_not_offered(generation: Generation) -> None:
    everything = Taking(architectures=frozenset(Architecture))
    taking = taking_with(everything, generation)
    assert (Virtualization.HVM in taking.virtualizations) == (generation in (V3_0, V3_1))
    assert Virtualization.PARAVIRTUAL in taking.virtualizations
    assert Architecture.AARCH64 not in taking.architectures
    old = generation in (V1_2, V1_3, V2_0)
    assert (Architecture.ARMHF in taking.architectures) != old
    assert taking_with(Taking(), generation).architectures == Taking().architectures


def test_a_directory_is_found_from_wherever_a_tool_is_started() -> None:
    there = programs(says("euca2ools 2.0.2"))
    for name, place in (("tools", Path.cwd() / "tools"), ("~/tools", Path.home() / "tools")):
        tools = euca2ools_found("auto", name, there, NeverStop()).tools
        assert tools
        assert tools.directory == str(place)


def test_keys_that_a_tool_prints_are_not_in_what_is_told_of_it(tmp_path: Path) -> None:
    there = programs(says("euca2ools 3.4.1"))
    there.programs["euca_register"] = lambda _: Finished(1, b"SECRET and TOKEN", "error: SECRET")
    tools = euca2ools_found("auto", "", there, NeverStop()).tools
    assert tools
    keys = {"EC2_SECRET_KEY": "SECRET", "AWS_SESSION_TOKEN": "TOKEN"}
    finished = tools.run(["euca-register"], Home(tmp_path, keys), NeverStop())
    assert (finished.output, finished.errors) == (b"*** and ***", "error: ***")
    assert "SECRET" not in tools.failed("euca-register", finished, None, "do it").message
