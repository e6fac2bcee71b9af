"""A session whose status is wrong somewhere is still a session: it can be stopped, answered and deleted."""

from typing import Any

import pytest
from pydantic import ValidationError

from agentic_core.lifecycle import Phase
from agentic_core.reading import read_session
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.ending import finalize
from agentic_operator.sessions.observation import Observation, Rules
from tests.support.builders import NOW, a_job, a_session

HUGE = 9223372036854775807

WRONG: dict[str, dict[str, Any]] = {
    "a run that no column holds": {"run": HUGE},
    "a run below zero": {"run": -1},
    "steps without end": {"steps": HUGE},
    "a time of no month": {"startTime": "2026-13-01T00:00:00Z"},
    "a time in a zone that is none": {"completionTime": "2026-01-01T00:00:00+99:99"},
    "a text where a number belongs": {"restarts": "many"},
    "a long word": {"reason": "x" * 65},
    "a long checkpoint": {"checkpointId": "x" * 200},
    "limits that never end": {"limits": {"timeoutSeconds": HUGE}},
    "a list where an object belongs": {"workflow": []},
    "an error without a type": {"error": {"message": "?"}},
    "a question without an id": {"interrupts": [{"id": "q1"}, {"value": 1}]},
    "a checkpoint without an id": {"history": [{"step": 1}]},
    "a condition of a status that is none": {"conditions": [{"type": "Running", "status": "Maybe"}]},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_taken_for_absent_and_the_rest_is_read(wrong: dict[str, Any]) -> None:
    session = a_session().running().with_status(currentNode="load", **wrong)
    read = read_session(session.raw())
    assert read.session.status.phase is Phase.RUNNING
    assert read.session.status.current_node == "load"
    (field,) = wrong
    assert all(path.startswith(f"/status/{field}") for path in read.ignored)
    assert read.ignored


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_it_can_be_stopped_and_deleted(wrong: dict[str, Any]) -> None:
    session = a_session().running().with_status(**wrong)
    stopped = decide(
        read_session(session.with_spec(stop=True).raw()).session, Observation(jobs=(a_job(),)), NOW, Rules()
    )
    assert stopped.delete_jobs == ("s-r1",)
    gone = decide(read_session(session.deleting().raw()).session, Observation(jobs=(a_job(),)), NOW, Rules())
    assert gone.purge


def test_a_good_entry_of_a_list_stays() -> None:
    read = read_session(a_session().running().with_status(interrupts=[{"id": "q1"}, {"id": "x" * 200}]).raw())
    assert [each.id for each in read.session.status.interrupts] == ["q1"]
    assert read.ignored == ("/status/interrupts/1",)


def test_a_status_of_thousands_of_faults_is_read_in_bounded_time() -> None:
    wrong = [{"id": f"q{n}", "prompt": 1} for n in range(3000)]
    read = read_session(a_session().running().with_status(interrupts=wrong).raw())
    assert read.session.status.interrupts == ()


def test_what_is_wrong_in_a_spec_is_told_unless_the_session_goes() -> None:
    session = a_session().running().with_spec(retries="often")
    with pytest.raises(ValidationError):
        read_session(session.raw())
    read = read_session(session.deleting().raw())
    assert read.ignored == ("/spec",)
    assert finalize(read.session, Observation(), NOW).purge


def test_nothing_is_ignored_of_a_good_session() -> None:
    assert read_session(a_session().waiting("approve?").raw()).ignored == ()
