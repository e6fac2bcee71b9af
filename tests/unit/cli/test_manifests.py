"""The objects and patches that are sent."""

from typing import Any

import pytest

from agentic_cli.model.manifests import (
    build_answer,
    build_fork,
    build_retry,
    build_session,
    generate_prefix,
    replaces_answer,
    sign,
)
from agentic_cli.model.sessions import parse_session
from agentic_core.errors import PermanentError
from tests.support.raw_sessions import a_raw_session, a_waiting_session

FAILED = {"phase": "Failed", "startTime": "2026-05-01T10:00:05Z", "checkpointId": "c9"}


def test_a_session_has_what_was_said_and_no_more() -> None:
    assert build_session("team", "w", cluster=False, name="s", inputs={"a": 1}, retries=None) == {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"namespace": "team", "name": "s"},
        "spec": {"workflowRef": {"name": "w", "kind": "WorkflowDefinition"}, "inputs": {"a": 1}},
    }


def test_without_a_name_the_api_server_makes_one() -> None:
    body = build_session("team", "w", cluster=True, name=None, graph="g")
    assert body["metadata"] == {"namespace": "team", "generateName": "w-"}
    assert body["spec"]["workflowRef"] == {"name": "w", "kind": "ClusterWorkflowDefinition", "graph": "g"}


@pytest.mark.parametrize("base", ["w", "w" * 46, "w" * 52, "a" * 45 + "-bcdef"])
def test_a_generated_name_stays_within_the_limit(base: str) -> None:
    prefix = generate_prefix(base)
    assert len(prefix) + 5 <= 52
    assert prefix.endswith("-")
    assert not prefix.endswith("--")


@pytest.mark.parametrize("name", ["A", "a.b", "-a", "a" * 53, "", "a/b"])
def test_a_name_that_cannot_be_is_refused_before_the_api_server_does(name: str) -> None:
    with pytest.raises(PermanentError, match="cannot name a session"):
        build_session("team", "w", cluster=False, name=name)


def test_a_retry_goes_on_from_the_failed_one_and_takes_what_it_was_made_with() -> None:
    failed = a_raw_session(
        "bad",
        status=FAILED,
        inputs={"a": 1},
        env=[{"name": "A", "value": "1"}],
        responses=[{"interruptId": "i"}],
        stop=True,
    )
    body = build_retry(parse_session(failed), name=None)
    assert body["metadata"] == {"namespace": "team", "generateName": "bad-"}
    assert body["spec"] == {
        "workflowRef": {"name": "w", "kind": "WorkflowDefinition"},
        "env": [{"name": "A", "value": "1"}],
        "forkFrom": {"session": "bad"},
    }


def test_a_retry_of_what_never_ran_starts_from_its_inputs() -> None:
    body = build_retry(parse_session(a_raw_session("bad", status={"phase": "Failed"}, inputs={"a": 1})), name="again")
    assert "forkFrom" not in body["spec"]
    assert body["spec"]["inputs"] == {"a": 1}


@pytest.mark.parametrize(
    "status",
    [{"phase": "Failed", "reason": "ImagePullFailed"}, {**FAILED, "reason": "ForkSourceNotFound"}],
    ids=["it never ran", "its source was not there"],
)
def test_a_retry_of_a_fork_that_has_no_checkpoint_forks_again(status: dict[str, Any]) -> None:
    origin = {"session": "first", "checkpointId": "c1"}
    body = build_retry(parse_session(a_raw_session("second", status=status, forkFrom=origin)), name=None)
    assert body["spec"]["forkFrom"] == origin


def test_a_retry_of_a_retry_goes_on_from_that_one() -> None:
    second = a_raw_session("second", status=FAILED, forkFrom={"session": "first"})
    assert build_retry(parse_session(second), name=None)["spec"]["forkFrom"] == {"session": "second"}


@pytest.mark.parametrize(
    ("phase", "complaint"),
    [("Running", "only one that ended can be retried"), ("Completed", "`agentic fork s` starts from it again")],
)
def test_what_did_not_fail_is_not_retried(phase: str, complaint: str) -> None:
    with pytest.raises(PermanentError, match=complaint):
        build_retry(parse_session(a_raw_session(status={"phase": phase})), name=None)


@pytest.mark.parametrize(
    ("checkpoint", "values", "origin"),
    [
        (None, None, {"session": "s"}),
        ("c1", None, {"session": "s", "checkpointId": "c1"}),
        ("c1", {"threshold": 3}, {"session": "s", "checkpointId": "c1", "values": {"threshold": 3}}),
    ],
)
def test_a_fork_says_where_it_starts(checkpoint: str | None, values: Any, origin: dict[str, Any]) -> None:
    source = parse_session(a_raw_session(status={**FAILED, "phase": "Completed"}))
    assert build_fork(source, name="f", checkpoint=checkpoint, values=values)["spec"]["forkFrom"] == origin


def test_a_fork_of_what_never_ran_is_refused() -> None:
    with pytest.raises(PermanentError, match="has not run: it has no checkpoint"):
        build_fork(parse_session(a_raw_session()), name=None, checkpoint=None, values=None)


def test_an_answer_is_applied_alone_and_holds_for_what_was_read() -> None:
    responses = [{"interruptId": "a", "value": 1}, {"interruptId": "i1", "by": "ann", "value": "old"}]
    session = parse_session(a_waiting_session(responses=responses))
    assert build_answer(session, "i1", "new", "ann", "d1") == {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": "s", "uid": "uid-of-s", "resourceVersion": "7"},
        "spec": {"responses": [{"interruptId": "i1", "by": "ann", "value": "new", "digest": "d1"}]},
    }
    assert replaces_answer(session, "i1", "ann")
    assert replaces_answer(session, "a", "")
    assert not replaces_answer(session, "i1", "")
    assert not replaces_answer(session, "i2", "ann")


def test_a_session_is_signed_where_the_name_is_known() -> None:
    body = {"metadata": {"name": "s"}, "spec": {"workflowRef": {"name": "w"}}}
    assert sign(body, "ann")["spec"] == {"workflowRef": {"name": "w"}, "createdBy": "ann"}
    assert sign(body, "") == body
