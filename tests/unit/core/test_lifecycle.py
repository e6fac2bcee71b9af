"""The table of phases: complete, closed at the end, and the same in every form it takes."""

import re

import pytest

from agentic_core.lifecycle import FINAL_PHASES, TRANSITIONS, Actor, Phase, is_legal, phase_rule


def test_the_table_speaks_of_every_phase() -> None:
    assert set(TRANSITIONS) == set(Phase)


@pytest.mark.parametrize("phase", sorted(FINAL_PHASES))
def test_a_final_phase_never_changes_and_is_not_written_again(phase: Phase) -> None:
    assert not any(is_legal(phase, new) for new in Phase)


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_final])
def test_every_other_phase_can_be_refreshed_and_can_end_as_failed_and_stopped(phase: Phase) -> None:
    assert is_legal(phase, phase)
    assert is_legal(phase, Phase.FAILED, Actor.OPERATOR)
    assert is_legal(phase, Phase.STOPPED, Actor.OPERATOR)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in FINAL_PHASES | {Phase.SUSPENDED}])
def test_every_phase_that_is_not_final_can_be_suspended(phase: Phase) -> None:
    assert is_legal(phase, Phase.SUSPENDED, Actor.OPERATOR)


@pytest.mark.parametrize(
    ("old", "new", "actor", "legal"),
    [
        (None, Phase.CREATING, Actor.OPERATOR, True),
        (None, Phase.RUNNING, Actor.RUNNER, False),
        (Phase.CREATING, Phase.RUNNING, Actor.RUNNER, True),
        (Phase.CREATING, Phase.RUNNING, Actor.OPERATOR, False),
        (Phase.RUNNING, Phase.COMPLETED, Actor.RUNNER, True),
        (Phase.RUNNING, Phase.COMPLETED, Actor.OPERATOR, False),
        (Phase.RUNNING, Phase.FAILED, Actor.OPERATOR, True),
        (Phase.RUNNING, Phase.WAITING_FOR_INPUT, Actor.RUNNER, True),
        (Phase.WAITING_FOR_INPUT, Phase.CREATING, Actor.OPERATOR, True),
        (Phase.WAITING_FOR_INPUT, Phase.COMPLETED, Actor.RUNNER, False),
        (Phase.RUNNING, Phase.IDLE, Actor.RUNNER, True),
        (Phase.IDLE, Phase.RUNNING, Actor.RUNNER, True),
        (Phase.IDLE, Phase.RUNNING, Actor.OPERATOR, False),
        (Phase.IDLE, Phase.COMPLETED, Actor.OPERATOR, True),
        (Phase.IDLE, Phase.COMPLETED, Actor.RUNNER, False),
        (Phase.WAITING_FOR_INPUT, Phase.IDLE, Actor.RUNNER, False),
        (Phase.STOPPED, Phase.RUNNING, Actor.RUNNER, False),
    ],
)
def test_who_may_change_what(old: Phase | None, new: Phase, actor: Actor, legal: bool) -> None:
    assert is_legal(old, new, actor) is legal


def test_the_wire_form_is_snake_case_and_comes_back() -> None:
    assert [phase.wire for phase in Phase] == [
        "pending",
        "creating",
        "running",
        "waiting_for_input",
        "idle",
        "suspended",
        "completed",
        "failed",
        "stopped",
    ]
    assert all(Phase.from_wire(phase.wire) is phase for phase in Phase)


def test_an_unknown_wire_form_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown phase 'Running': expected one of pending, creating"):
        Phase.from_wire("Running")


def test_the_rule_of_the_api_server_holds_exactly_the_table() -> None:
    pairs = {
        (old, new)
        for old, news in re.findall(r"oldSelf\.phase == '(\w+)' && self\.phase in \[([^]]*)\]", phase_rule())
        for new in re.findall(r"\w+", news)
    }
    assert pairs == {(old.value, new.value) for old, news in TRANSITIONS.items() for new in news}
