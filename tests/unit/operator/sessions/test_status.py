"""Statuses: only the difference is written, and only phases that the operator may write."""

from typing import Any

import pytest

from agentic_core.conditions import Reason
from agentic_core.lifecycle import Phase
from agentic_operator.sessions.status import build_exact_patch, change_session, diff_status, fail_session
from tests.support.builders import NOW, a_session, condition


def test_the_patch_holds_only_what_changed_and_removes_what_is_gone() -> None:
    session = a_session().running().with_status(message="old", restarts=1).build()
    new = session.status.model_copy(update={"message": "new", "restarts": None})
    assert diff_status(session.status, new) == {"message": "new", "restarts": None}
    assert diff_status(session.status, session.status) == {}


def test_a_nested_value_is_patched_in_its_place() -> None:
    session = a_session().running().build()
    assert session.status.workflow is not None
    workflow = session.status.workflow.model_copy(update={"graph": "main"})
    new = session.status.model_copy(update={"workflow": workflow})
    assert diff_status(session.status, new) == {"workflow": {"graph": "main"}}


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (False, 0), ([{"a": 1}], [{"a": True}]), ({"a": 0}, {"a": False})]
)
def test_what_python_takes_for_equal_and_json_does_not_is_written(before: Any, after: Any) -> None:
    old = a_session().running().with_status(result=before).build().status
    new = old.model_copy(update={"result": after})
    assert diff_status(old, new).keys() == {"result"}
    assert {"op": "add", "path": "/status/result", "value": after} in build_exact_patch("1", old, new)
    assert diff_status(new, new) == {}


def test_a_phase_that_is_not_the_operators_to_write_is_left_as_it_is() -> None:
    waiting = a_session().waiting("?").build()
    status = change_session(waiting, Phase.PENDING, Reason.QUEUED, "full", NOW)
    assert (status.phase, status.reason) == (Phase.WAITING_FOR_INPUT, "Queued")
    final = a_session().ended(Phase.COMPLETED).build()
    assert fail_session(final, Reason.RUNNER_LOST, "x", NOW).phase is Phase.COMPLETED


def test_a_failure_is_a_condition_an_error_and_a_time() -> None:
    status = fail_session(a_session().running().build(), Reason.OOM_KILLED, "too much", NOW)
    assert status.phase is Phase.FAILED
    assert status.error is not None
    assert (status.error.type, status.error.message, status.completion_time) == ("OOMKilled", "too much", NOW)
    assert [(c.type, c.status) for c in status.conditions] == [("Accepted", "True"), ("Failed", "True")]


def test_a_session_that_leaves_running_is_not_running() -> None:
    running = a_session().running().with_status(conditions=[condition("Running", "True")]).build()
    status = change_session(running, Phase.SUSPENDED, Reason.SUSPENDED, "x", NOW)
    assert [(c.type, c.status, c.reason) for c in status.conditions] == [("Running", "False", "Suspended")]
    still = change_session(running, Phase.RUNNING, Reason.RETRYING, "x", NOW)
    assert [(c.type, c.status) for c in still.conditions] == [("Running", "True")]
