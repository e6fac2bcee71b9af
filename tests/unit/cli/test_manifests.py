"""The objects and patches that are sent."""

import re
from typing import Any

import pytest

from agentic_cli.model.manifests import (
    build_answer,
    build_fork,
    build_retry,
    build_session,
    replaces_answer,
    sign,
)
from agentic_cli.model.sessions import parse_session
from agentic_core.errors import PermanentError
from agentic_core.names import generate_prefix
from tests.support.raw_sessions import a_raw_session, a_waiting_session

WHOLE = "1f1eb7c9-9999-6d21-8000-000000000009"
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
        (WHOLE, None, {"session": "s", "checkpointId": WHOLE}),
        (WHOLE, {"threshold": 3}, {"session": "s", "checkpointId": WHOLE, "values": {"threshold": 3}}),
    ],
)
def test_a_fork_says_where_it_starts(checkpoint: str | None, values: Any, origin: dict[str, Any]) -> None:
    source = parse_session(a_raw_session(status={**FAILED, "phase": "Completed"}))
    assert build_fork(source, name="f", checkpoint=checkpoint, values=values)["spec"]["forkFrom"] == origin


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param("1f1eb7c9", "1f1eb7c9-85a3-6d21-8000-000000000001", id="the beginning of one"),
        pytest.param(WHOLE, WHOLE, id="a whole id that the status lists no more"),
        pytest.param("1f1e", "is the beginning of 2 checkpoints: 1f1eb7c9-", id="the beginning of two"),
        pytest.param("1f1eb7c9-95", "lists no checkpoint '1f1eb7c9-95': see `agentic checkpoints s`", id="none"),
    ],
)
def test_a_checkpoint_is_named_by_its_beginning(wanted: str, found: str) -> None:
    history = [{"id": "1f1eb7c9-85a3-6d21-8000-000000000001"}, {"id": "1f1e0000-85a3-6d21-8000-000000000001"}]
    source = parse_session(a_raw_session(status={**FAILED, "history": history}))
    if " " not in found:
        body = build_fork(source, name="f", checkpoint=wanted, values=None)
        assert body["spec"]["forkFrom"]["checkpointId"] == found
        return
    with pytest.raises(PermanentError, match=re.escape(found)):
        build_fork(source, name="f", checkpoint=wanted, values=None)


@pytest.mark.parametrize("reason", ["InvalidInput", "InvalidConfig", "EnvNotAllowed"])
def test_a_session_that_its_own_spec_failed_is_retried_only_by_force(reason: str) -> None:
    status = {"phase": "Failed", "reason": reason, "message": "/inputs/a: is no number"}
    failed = parse_session(a_raw_session("bad", status=status, inputs={"a": "b"}))
    with pytest.raises(PermanentError, match=rf"failed with {reason}, and a retry would too: /inputs/a: is no number"):
        build_retry(failed, name=None)
    assert build_retry(failed, name=None, force=True)["spec"]["inputs"] == {"a": "b"}


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
