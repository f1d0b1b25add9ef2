"""The state table, over every pair of state and event."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.installs import ACTIVE, STATUS, TRANSITIONS, Event, State, advance


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("state", list(State))
def test_each_pair_leads_to_the_state_of_the_table_or_is_refused(
    state: State, event: Event
) -> None:
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
        return
    with pytest.raises(CallerError) as caught:
        advance(state, event)
    assert caught.value.status == 409
    assert state in caught.value.message


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_p4_every_state_in_progress_can_be_taken_up_after_a_restart(state: State) -> None:
    assert advance(state, Event.RESTART) in ACTIVE


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_every_state_in_progress_has_a_way_to_rest(state: State) -> None:
    seen, todo = set(), [state]
    while todo:
        here = todo.pop()
        seen.add(here)
        todo += [to for (a, _), to in TRANSITIONS.items() if a is here and to not in seen]
    assert {State.UNINSTALLED, State.INSTALLED} & seen


@pytest.mark.parametrize("state", [State.WAITING, State.DOWNLOADING, State.INSTALLING])
def test_p8_work_that_goes_on_can_be_cancelled_and_can_fail(state: State) -> None:
    assert advance(state, Event.CANCEL) is State.CANCELLING
    assert advance(state, Event.FAIL) is State.FAILING


def test_every_state_has_a_word_that_the_store_tab_knows() -> None:
    assert set(STATUS) == set(State)
    assert {status.value for status in STATUS.values()} == {
        "uninstalled",
        "downloading",
        "installing",
        "installed",
    }


def test_the_drawing_in_the_docs_is_that_of_the_table() -> None:
    drawn = (Path(__file__).parents[2] / "docs" / "states.md").read_text()
    arrows = {line.strip() for line in drawn.splitlines() if "-->" in line}
    wanted = {f"{a} --> {b}: {event}" for (a, event), b in TRANSITIONS.items()}
    assert arrows == wanted | {"[*] --> uninstalled"}
