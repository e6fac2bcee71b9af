"""Classifies exceptions of a run: graph or infrastructure, and whether a retry can help."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from agentic_core.conditions import Reason
from agentic_core.errors import AgenticError, PermanentError, SchemaMismatch, Superseded, TransientError
from agentic_runner.checkpoints.not_restorable import NotRestorable
from agentic_runner.execution.tracking import Tracker
from agentic_runner.keyring import CannotDecrypt
from agentic_runner.output.redaction import bounded, describe
from agentic_runner.project.source_location import find_source
from agentic_store.errors import Unfenced, translate

E = TypeVar("E", bound=BaseException)


class FailureKind(StrEnum):
    """Whose failure it is."""

    SUPERSEDED = "superseded"
    DATABASE = "database"
    """Passing: the same again may work."""
    SCHEMA = "schema"
    UNFENCED = "unfenced"
    """The fence did not reach the server."""
    INPUT = "input"
    GRAPH = "graph"


@dataclass(frozen=True)
class Failure:
    """One failed attempt."""

    kind: FailureKind
    type: str
    message: str
    node: str | None = None
    is_retriable: bool = True
    reason: Reason = Reason.GRAPH_ERROR
    """The reason in the session's status for a failure of the graph."""


class RunFailed(AgenticError):
    """The graph raised an exception; ``failure`` describes it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


# Names, so that LangGraph need not be imported to compare them. Each says that the graph itself is wrong: the state
# that led to it is in the checkpoint, and the same step would end the same way.
_RECURSION: Final = "GraphRecursionError"
_NEVER_SUCCEED: Final = frozenset({_RECURSION, "InvalidUpdateError", "EmptyInputError"})
_RECURSION_REMEDY: Final = (
    "; if the graph does end, give it more super-steps in spec.config.recursion_limit (or in the definition's"
    " defaults.config): `agentic fork` goes on from the last checkpoint"
)

# Frames of these belong to the checkpointer and store, also where a subgraph's node called them.
_PERSISTENCE: Final = ("langgraph.checkpoint.postgres", "langgraph.store.postgres", "agentic_store")


def classify(error: BaseException, tracker: Tracker, *, takes_inputs: bool, root: Path | None = None) -> Failure:
    """Return what ``error`` means; ``root`` is where the author's project is, from which its files are named.

    A node may use a database of its own: only errors that passed through our checkpointer or store are ours. Where the
    run ``takes_inputs``, an error before any node ran is about them. Everything else is the graph's, and retriable but
    for errors that name a fault of the graph itself.
    """
    meaning = translate(error)
    if isinstance(meaning, Superseded):
        return Failure(FailureKind.SUPERSEDED, "Superseded", str(meaning))
    if (refused := find_link(error, NotRestorable)) is not None:
        node = tracker.find_node(refused.task_id) or tracker.progress.current_node
        placed = refused.at(channel=refused.channel, node=node or "")
        return Failure(FailureKind.GRAPH, "StateNotRestorable", str(placed), node=node, is_retriable=False)
    node, inner = tracker.failure or (None, error)
    if meaning is not None and (tracker.failure is None or passed_persistence(inner)):
        return _persistence_failure(meaning)
    if takes_inputs and not tracker.has_started:
        return Failure(FailureKind.INPUT, _name(error), f"the graph refuses the inputs: {describe(error)}")
    if _is_named(error, {_RECURSION}):
        message = f"{describe(error)}{_RECURSION_REMEDY}"
        reason = Reason.RECURSION_LIMIT_REACHED
        return Failure(FailureKind.GRAPH, _name(error), message, node, is_retriable=False, reason=reason)
    return Failure(
        FailureKind.GRAPH,
        _name(error),
        describe(error, lambda raised: find_source(raised, root)),
        node=node,
        is_retriable=not _is_named(error, _NEVER_SUCCEED),
    )


def find_lost_save(unsaved: Iterable[Exception]) -> Failure | None:
    """Return why what a run did is not saved, if that is no fault of the graph's.

    A node's error may come before the loss of a save beside it: such a run ended nowhere that the next one can go on
    from, as if its process had died.
    """
    failures = (classify(error, Tracker(), takes_inputs=False) for error in unsaved)
    return next((each for each in failures if each.kind is not FailureKind.GRAPH), None)


def _name(error: BaseException) -> str:
    return bounded(type(error).__name__, 256)


def _is_named(error: BaseException, names: Set[str]) -> bool:
    return not names.isdisjoint(cls.__name__ for cls in type(error).__mro__)


def _persistence_failure(meaning: AgenticError) -> Failure:
    name = type(meaning).__name__
    if isinstance(meaning, Unfenced):
        return Failure(FailureKind.UNFENCED, name, meaning.said, is_retriable=False)
    if isinstance(meaning, SchemaMismatch):
        return Failure(FailureKind.SCHEMA, name, str(meaning), is_retriable=False)
    if isinstance(meaning, TransientError):
        return Failure(FailureKind.DATABASE, name, str(meaning))
    return Failure(FailureKind.GRAPH, name, str(meaning), is_retriable=not isinstance(meaning, PermanentError))


def find_undecryptable(error: BaseException) -> CannotDecrypt | None:
    """Return the error of a checkpoint that could not be decrypted, where ``error`` came of that."""
    return find_link(error, CannotDecrypt)


def find_link(error: BaseException, wanted: type[E]) -> E | None:
    """Return the error of a type that ``error`` is, came of, or holds as a member of its group."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        if isinstance(link, wanted):
            return link
        seen.add(id(link))
        waiting += [
            link.__cause__,
            link.__context__,
            *(link.exceptions if isinstance(link, BaseExceptionGroup) else ()),
        ]
    return None


def passed_persistence(error: BaseException) -> bool:
    """Return whether the error, or one it came from, was raised below our checkpointer or store."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if _passes(link.__traceback__):
            return True
        link = link.__cause__ or link.__context__
    return False


def _passes(tb: TracebackType | None) -> bool:
    while tb is not None:
        if str(tb.tb_frame.f_globals.get("__name__", "")).startswith(_PERSISTENCE):
            return True
        tb = tb.tb_next
    return False
