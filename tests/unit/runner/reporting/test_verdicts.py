"""Which errors end the session, which only the process, and by which exit code."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import agentic_core
import agentic_runner
import agentic_store
from agentic_core.conditions import Reason
from agentic_core.contract import PERMANENT_EXIT_CODES, ExitCode
from agentic_core.errors import (
    AgenticError,
    ApiUnavailable,
    Conflict,
    DatabaseUnavailable,
    GraphLoadError,
    InvalidResource,
    OutputTooLarge,
    PermanentError,
    SchemaMismatch,
    Superseded,
    TransientError,
)
from agentic_core.schema.sandbox import CheckerUnavailable
from agentic_runner.checkpoints.not_restorable import NotRestorable
from agentic_runner.config import ConfigurationError
from agentic_runner.execution.failures import Failure, FailureKind, RunFailed
from agentic_runner.execution.fork import ForkRefused
from agentic_runner.execution.given import SettingsRefused
from agentic_runner.keyring import CannotDecrypt
from agentic_runner.reporting.results import UploadInterrupted
from agentic_runner.reporting.verdicts import (
    EXIT_CODES,
    RULES,
    Ending,
    Ends,
    Fails,
    Verdict,
    decide_failed_run,
    decide_verdict,
    describe_verdict,
    find_rule,
    read_verdict,
)
from agentic_runner.session.reporter import ApiRetriesExhausted, SessionSuspended
from agentic_runner.session.session_env import EnvRefused
from agentic_runner.session.status import AnswersPending
from agentic_store.errors import CheckpointsLost, Unfenced, UnstorableOutput
from agentic_store.results.objects import ObjectStoreError, ObjectStoreRefused, ObjectStoreUnavailable
from agentic_store.searches import InvalidSearch
from agentic_store.sessions import NoSuchParent
from agentic_store.threads import CheckpointNotFound

NO_VERDICT = {
    AgenticError: "only its subclasses are raised",
    ObjectStoreError: "only its subclasses are raised",
    PermanentError: "the API server refused a request: nothing about the session, the next run tries again",
    Conflict: "read again where it is raised",
    InvalidResource: "the operator's and the command line's",
    CheckerUnavailable: "the operator's",
    InvalidSearch: "the command line's",
    NoSuchParent: "nobody calls update_output in a run",
    ConfigurationError: "ends the process before there is a run",
    NotRestorable: "classify() makes a failure of the graph of it",
    RunFailed: "decided by decide_failed_run()",
    CheckpointNotFound: "enter_fork() makes ForkRefused of it",
    AnswersPending: "the run goes on with the answers",
    ApiUnavailable: "raised by the clients of the operator and the command line; a runner raises ApiRetriesExhausted",
}
"""Errors of ours that end no run, and why."""


def list_errors() -> Iterator[type[AgenticError]]:
    for package in (agentic_core, agentic_store, agentic_runner):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    waiting: list[type[AgenticError]] = [AgenticError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith(("agentic_core.", "agentic_store.", "agentic_runner.")):
            yield kind


def test_each_error_of_ours_is_in_the_table_or_ends_no_run() -> None:
    kinds = set(list_errors())
    assert {AgenticError, CheckpointsLost, SettingsRefused} <= kinds
    assert kinds - RULES.keys() == NO_VERDICT.keys(), "give a new error its row in RULES"


def test_each_reason_of_the_table_has_an_exit_code() -> None:
    reasons = {rule.reason for rule in RULES.values() if isinstance(rule, Fails) and rule.reason is not None}
    assert reasons <= EXIT_CODES.keys()


def test_the_exit_code_of_a_verdict_lets_no_pod_of_the_job_follow() -> None:
    assert set(EXIT_CODES.values()) <= set(PERMANENT_EXIT_CODES)


def test_a_process_that_another_one_follows_ends_with_a_code_that_lets_it() -> None:
    passing = {rule.code for kind, rule in RULES.items() if isinstance(rule, Ends) and kind is not Superseded}
    assert passing.isdisjoint(PERMANENT_EXIT_CODES)


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (ForkRefused(Reason.FORK_SOURCE_NOT_FOUND, "x"), Reason.FORK_SOURCE_NOT_FOUND, ExitCode.INPUT_REFUSED),
        (ForkRefused(Reason.FORBIDDEN, "x"), Reason.FORBIDDEN, ExitCode.INPUT_REFUSED),
        (ForkRefused(Reason.INVALID_INPUT, "x"), Reason.INVALID_INPUT, ExitCode.INPUT_REFUSED),
        (SettingsRefused("x"), Reason.INVALID_CONFIG, ExitCode.INPUT_REFUSED),
        (EnvRefused("x"), Reason.ENV_NOT_ALLOWED, ExitCode.INPUT_REFUSED),
        (GraphLoadError("x"), Reason.GRAPH_LOAD_FAILED, ExitCode.GRAPH_NOT_LOADED),
        (SchemaMismatch("x"), Reason.DATABASE_NOT_MIGRATED, ExitCode.SCHEMA_MISMATCH),
        (OutputTooLarge("x"), Reason.OUTPUT_TOO_LARGE, ExitCode.OUTPUT_TOO_LARGE),
        (UnstorableOutput("x"), Reason.GRAPH_ERROR, ExitCode.GRAPH_FAILED),
        (CannotDecrypt("x"), Reason.RUNNER_MISCONFIGURED, ExitCode.CONFIGURATION),
        (Unfenced("x"), Reason.RUNNER_MISCONFIGURED, ExitCode.CONFIGURATION),
        (ObjectStoreRefused("x"), Reason.RESULT_STORE_UNAVAILABLE, ExitCode.CONFIGURATION),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AgenticError) else str(value),
)
def test_what_another_run_would_meet_again_fails_the_session(
    error: AgenticError, reason: Reason, code: ExitCode
) -> None:
    verdict = decide_verdict(error)
    assert isinstance(verdict, Verdict)
    assert (verdict.reason, verdict.code, verdict.type) == (reason, code, type(error).__name__)
    assert (verdict.node, verdict.retriable) == (None, False)
    assert str(error) in verdict.message
    assert verdict.is_storable is not isinstance(error, SchemaMismatch)


@pytest.mark.parametrize(
    ("error", "code", "trouble"),
    [
        (Superseded("x"), ExitCode.SUPERSEDED, None),
        (SessionSuspended("x"), ExitCode.DRAINED, None),
        (UploadInterrupted("x"), ExitCode.DRAINED, None),
        (ApiRetriesExhausted("x"), ExitCode.API_UNAVAILABLE, None),
        (ObjectStoreUnavailable("x"), ExitCode.RESULTS_UNAVAILABLE, Reason.RESULT_STORE_UNAVAILABLE),
        (DatabaseUnavailable("x"), ExitCode.DATABASE_UNAVAILABLE, Reason.DATABASE_UNAVAILABLE),
        (CheckpointsLost("x"), ExitCode.DATABASE_UNAVAILABLE, Reason.DATABASE_UNAVAILABLE),
        (TransientError("x"), ExitCode.DATABASE_UNAVAILABLE, Reason.DATABASE_UNAVAILABLE),
        (PermanentError("x"), ExitCode.RETRIABLE, None),
        (Conflict("x"), ExitCode.RETRIABLE, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AgenticError) else str(value),
)
def test_what_another_run_may_not_meet_ends_the_process_alone(
    error: AgenticError, code: ExitCode, trouble: Reason | None
) -> None:
    assert decide_verdict(error) == Ending(code, "x", trouble)


def test_an_error_without_a_row_goes_by_its_nearest_base_class() -> None:
    class Nearer(DatabaseUnavailable): ...

    class Elsewhere(AgenticError): ...

    assert decide_verdict(Nearer("x")) == decide_verdict(DatabaseUnavailable("x"))
    assert find_rule(Elsewhere) is None


def test_braces_in_a_message_stay_as_they_are() -> None:
    assert decide_verdict(UnstorableOutput("{0} {")).message == "the result cannot be stored: {0} {"


def test_a_graph_that_raised_is_tried_again_while_retries_last() -> None:
    failure = Failure(FailureKind.GRAPH, "ValueError", "boom", node="n")
    again = [decide_failed_run(failure, failures=count, retries=2) for count in (1, 2, 3)]
    assert again[:2] == [
        Ending(ExitCode.RETRIABLE, f"attempt {count} of 3 failed: boom", Reason.RETRYING) for count in (1, 2)
    ]
    assert again[2] == Verdict(Reason.GRAPH_ERROR, "ValueError", "boom", "n", True)


def test_a_graph_that_is_wrong_itself_is_not_tried_again() -> None:
    reason = Reason.RECURSION_LIMIT_REACHED
    failure = Failure(FailureKind.GRAPH, "GraphRecursionError", "endless", is_retriable=False, reason=reason)
    verdict = decide_failed_run(failure, failures=1, retries=9)
    assert verdict == Verdict(reason, "GraphRecursionError", "endless")
    assert isinstance(verdict, Verdict)
    assert verdict.code is ExitCode.GRAPH_FAILED


def test_inputs_that_the_graph_refuses_fail_the_session_at_once() -> None:
    verdict = decide_failed_run(Failure(FailureKind.INPUT, "KeyError", "refused"), failures=0, retries=9)
    assert verdict == Verdict(Reason.INVALID_INPUT, "KeyError", "refused")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FailureKind.SUPERSEDED, ExitCode.SUPERSEDED),
        (FailureKind.DATABASE, ExitCode.DATABASE_UNAVAILABLE),
        (FailureKind.SCHEMA, ExitCode.SCHEMA_MISMATCH),
        (FailureKind.UNFENCED, ExitCode.CONFIGURATION),
    ],
)
def test_a_run_that_failed_by_no_fault_of_the_graph_counts_no_attempt(kind: FailureKind, code: ExitCode) -> None:
    assert decide_failed_run(Failure(kind, "X", "x"), failures=0, retries=0).code is code


def test_each_kind_of_failure_is_decided() -> None:
    for kind in FailureKind:
        assert decide_failed_run(Failure(kind, "X", "x"), failures=1, retries=0).code is not ExitCode.DONE


@pytest.mark.parametrize("reason", sorted(EXIT_CODES))
def test_a_stored_verdict_is_read_as_it_was_decided(reason: Reason) -> None:
    verdict = Verdict(reason, "T", "message", "node", True)
    assert read_verdict(describe_verdict(verdict)) == verdict
    assert read_verdict(describe_verdict(verdict)).code is EXIT_CODES[reason]


@pytest.mark.parametrize("error", [{}, {"reason": "FromTheFuture"}, {"reason": None, "message": None, "type": ""}])
def test_a_verdict_that_another_version_stored_is_read_as_an_error_of_the_graph(error: dict[str, object]) -> None:
    verdict = read_verdict(error)
    assert (verdict.reason, verdict.code, verdict.type) == (Reason.GRAPH_ERROR, ExitCode.GRAPH_FAILED, "GraphError")
