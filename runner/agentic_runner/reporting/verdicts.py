"""Decides what an error means: the session fails for good, or this process ends and another run goes on.

Pure. One table leads from our errors to a reason or to an exit code, one from the reason to its exit code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_core import contract
from agentic_core.conditions import Reason
from agentic_core.contract import ExitCode
from agentic_core.errors import (
    AgenticError,
    DatabaseUnavailable,
    GraphLoadError,
    OutputTooLarge,
    SchemaMismatch,
    Superseded,
    TransientError,
)
from agentic_runner.execution.failures import Failure, FailureKind
from agentic_runner.execution.fork import ForkRefused
from agentic_runner.execution.given import SettingsRefused
from agentic_runner.execution.turn_entry import TurnRefused
from agentic_runner.keyring import CannotDecrypt
from agentic_runner.output.redaction import bounded
from agentic_runner.reporting.results import UploadInterrupted
from agentic_runner.session.reporter import ApiRetriesExhausted, SessionSuspended
from agentic_runner.session.session_env import EnvRefused
from agentic_runner.session.status import RunFailure
from agentic_store.errors import CheckpointsLost, Unfenced, UnstorableOutput
from agentic_store.results.objects import ObjectStoreRefused, ObjectStoreUnavailable


@dataclass(frozen=True)
class Ending:
    """How a run's process ends: its exit code, and what the pod's termination message says.

    ``trouble`` is the reason that the session's status shows until the next run has news; None leaves it as it is.
    """

    code: ExitCode
    message: str = ""
    trouble: Reason | None = None


@dataclass(frozen=True)
class Verdict(RunFailure):
    """The session fails for good; ``is_storable`` is False if the database cannot take it."""

    is_storable: bool = True

    @property
    def code(self) -> ExitCode:
        return EXIT_CODES.get(self.reason, ExitCode.GRAPH_FAILED)


EXIT_CODES: Final[Mapping[Reason, ExitCode]] = {
    Reason.INVALID_INPUT: ExitCode.INPUT_REFUSED,
    Reason.INVALID_CONFIG: ExitCode.INPUT_REFUSED,
    Reason.ENV_NOT_ALLOWED: ExitCode.INPUT_REFUSED,
    Reason.FORK_SOURCE_NOT_FOUND: ExitCode.INPUT_REFUSED,
    Reason.FORBIDDEN: ExitCode.INPUT_REFUSED,
    Reason.GRAPH_LOAD_FAILED: ExitCode.GRAPH_NOT_LOADED,
    Reason.DATABASE_NOT_MIGRATED: ExitCode.SCHEMA_MISMATCH,
    Reason.OUTPUT_TOO_LARGE: ExitCode.OUTPUT_TOO_LARGE,
    Reason.RESULT_STORE_UNAVAILABLE: ExitCode.CONFIGURATION,
    Reason.RUNNER_MISCONFIGURED: ExitCode.CONFIGURATION,
    Reason.GRAPH_ERROR: ExitCode.GRAPH_FAILED,
    Reason.RECURSION_LIMIT_REACHED: ExitCode.GRAPH_FAILED,
}
"""The exit code of a session that failed for a reason."""


@dataclass(frozen=True)
class Fails:
    """An error that is the session's verdict; ``text`` places its message in that of the verdict."""

    reason: Reason | None
    """None: the error itself names it."""
    text: str = "{}"
    is_storable: bool = True


@dataclass(frozen=True)
class Ends:
    """An error that ends this process alone; see :class:`Ending`."""

    code: ExitCode
    trouble: Reason | None = None


RULES: Final[Mapping[type[AgenticError], Fails | Ends]] = {
    Superseded: Ends(ExitCode.SUPERSEDED),
    SessionSuspended: Ends(ExitCode.DRAINED),
    UploadInterrupted: Ends(ExitCode.DRAINED),
    ApiRetriesExhausted: Ends(ExitCode.API_UNAVAILABLE),
    ObjectStoreUnavailable: Ends(ExitCode.RESULTS_UNAVAILABLE, Reason.RESULT_STORE_UNAVAILABLE),
    DatabaseUnavailable: Ends(ExitCode.DATABASE_UNAVAILABLE, Reason.DATABASE_UNAVAILABLE),
    CheckpointsLost: Ends(ExitCode.DATABASE_UNAVAILABLE, Reason.DATABASE_UNAVAILABLE),
    TransientError: Ends(ExitCode.DATABASE_UNAVAILABLE, Reason.DATABASE_UNAVAILABLE),
    ForkRefused: Fails(None),
    SettingsRefused: Fails(Reason.INVALID_CONFIG),
    TurnRefused: Fails(Reason.INVALID_INPUT),
    EnvRefused: Fails(Reason.ENV_NOT_ALLOWED),
    GraphLoadError: Fails(Reason.GRAPH_LOAD_FAILED),
    SchemaMismatch: Fails(Reason.DATABASE_NOT_MIGRATED, is_storable=False),
    OutputTooLarge: Fails(Reason.OUTPUT_TOO_LARGE),
    UnstorableOutput: Fails(Reason.GRAPH_ERROR, "the result cannot be stored: {}"),
    CannotDecrypt: Fails(Reason.RUNNER_MISCONFIGURED),
    Unfenced: Fails(Reason.RUNNER_MISCONFIGURED),
    ObjectStoreRefused: Fails(Reason.RESULT_STORE_UNAVAILABLE, "{}; the last checkpoint has the result"),
}
"""Each error of ours that may end a run. An error of a class that is not here goes by its nearest base class."""

_INFRASTRUCTURE: Final[Mapping[FailureKind, type[AgenticError]]] = {
    FailureKind.SUPERSEDED: Superseded,
    FailureKind.DATABASE: DatabaseUnavailable,
    FailureKind.SCHEMA: SchemaMismatch,
    FailureKind.UNFENCED: Unfenced,
}


def find_rule(kind: type[AgenticError]) -> Fails | Ends | None:
    """Return the rule for errors of a class; None for one that no run expects."""
    return next((RULES[each] for each in kind.__mro__ if each in RULES), None)


def decide_verdict(error: AgenticError) -> Verdict | Ending:
    """Decide what an error of ours means. What no run expects is tried again by another one."""
    rule, message = find_rule(type(error)), str(error)
    match rule:
        case Fails():
            reason = error.reason if isinstance(error, ForkRefused) else rule.reason
            assert reason is not None  # noqa: S101  (a unit test walks the table)
            return Verdict(reason, type(error).__name__, rule.text.format(message), is_storable=rule.is_storable)
        case Ends():
            return Ending(rule.code, message, rule.trouble)
        case _:
            return Ending(ExitCode.RETRIABLE, message)


def decide_failed_run(failure: Failure, *, failures: int, retries: int) -> Verdict | Ending:
    """Decide between another attempt and the end after the graph raised.

    ``failures`` counts this failure and those before it, ``retries`` is how many may be followed by another attempt.
    """
    match failure.kind:
        case FailureKind.GRAPH if failure.is_retriable and failures <= retries:
            message = f"attempt {failures} of {retries + 1} failed: {failure.message}"
            return Ending(ExitCode.RETRIABLE, message, Reason.RETRYING)
        case FailureKind.GRAPH:
            return Verdict(failure.reason, failure.type, failure.message, failure.node, failure.is_retriable)
        case FailureKind.INPUT:
            return Verdict(Reason.INVALID_INPUT, failure.type, failure.message)
        case _:
            return decide_verdict(_INFRASTRUCTURE[failure.kind](failure.message))


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the session's row and its event hold it: reason, type, message, node, retriable."""
    return {
        "reason": verdict.reason.value,
        "type": verdict.type,
        "message": bounded(verdict.message, contract.MAX_MESSAGE_LENGTH),
        "node": verdict.node,
        "retriable": verdict.retriable,
    }


def read_verdict(error: Mapping[str, Any]) -> Verdict:
    """Return the verdict that a session's row holds, whatever an older or newer runner wrote there."""
    reason = next((each for each in Reason if each.value == error.get("reason")), Reason.GRAPH_ERROR)
    return Verdict(
        reason,
        str(error.get("type") or reason.value),
        str(error.get("message") or ""),
        str(error["node"]) if error.get("node") else None,
        bool(error.get("retriable")),
    )
