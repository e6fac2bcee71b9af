"""Whose failure an exception is, and whether another attempt could end otherwise."""

import psycopg
import pytest
from langgraph.errors import GraphRecursionError, InvalidUpdateError

from agentic_core.errors import DatabaseUnavailable, Superseded
from agentic_runner.execution.failures import FailureKind, classify, find_lost_save
from agentic_runner.execution.tracking import Tracker


def _tracker(error: BaseException | None = None) -> Tracker:
    tracker = Tracker()
    tracker.see((), "tasks", {"id": "1", "name": "node", "input": {}, "triggers": ()})
    if error is not None:
        tracker.see((), "tasks", {"id": "1", "name": "node", "error": error, "result": {}, "interrupts": []})
    return tracker


def test_an_error_of_a_node_is_the_graph_s_and_retriable() -> None:
    error = ValueError("no")
    failure = classify(error, _tracker(error), takes_inputs=True)
    assert (failure.kind, failure.type, failure.node) == (FailureKind.GRAPH, "ValueError", "node")
    assert failure.is_retriable
    assert failure.message == "ValueError: no"


@pytest.mark.parametrize("error", [GraphRecursionError("endless"), InvalidUpdateError("twice")])
def test_a_fault_of_the_graph_itself_is_not_tried_again(error: Exception) -> None:
    failure = classify(error, _tracker(), takes_inputs=False)
    assert (failure.kind, failure.is_retriable) == (FailureKind.GRAPH, False)


def test_before_the_first_node_an_error_is_about_the_inputs() -> None:
    failure = classify(TypeError("no dict"), Tracker(), takes_inputs=True)
    assert failure.kind is FailureKind.INPUT
    assert "the graph refuses the inputs: TypeError: no dict" in failure.message
    assert classify(TypeError("later"), Tracker(), takes_inputs=False).kind is FailureKind.GRAPH


def test_a_lost_connection_of_ours_is_the_database_s() -> None:
    error = psycopg.OperationalError("connection lost")
    assert classify(error, _tracker(), takes_inputs=False).kind is FailureKind.DATABASE
    assert classify(error, Tracker(), takes_inputs=True).kind is FailureKind.DATABASE


def test_a_lost_connection_of_the_node_s_own_is_the_graph_s() -> None:
    error = psycopg.OperationalError("the author's database")
    failure = classify(error, _tracker(error), takes_inputs=False)
    assert (failure.kind, failure.node) == (FailureKind.GRAPH, "node")


def test_a_subgraph_s_checkpoint_that_fails_in_a_node_is_the_database_s() -> None:
    # Raised by code that calls itself the checkpointer, as a nested graph's writes do inside a node.
    scope = {"__name__": "langgraph.checkpoint.postgres.aio", "psycopg": psycopg}
    exec("def put():\n    raise psycopg.OperationalError('away')", scope)  # noqa: S102
    with pytest.raises(psycopg.OperationalError) as caught:
        scope["put"]()  # type: ignore[operator]
    assert classify(caught.value, _tracker(caught.value), takes_inputs=False).kind is FailureKind.DATABASE


def test_a_superseded_writer_is_recognised_under_whatever_was_raised_on_top() -> None:
    error = RuntimeError("while handling it")
    error.__cause__ = Superseded("a newer run holds the thread")
    assert classify(error, _tracker(error), takes_inputs=False).kind is FailureKind.SUPERSEDED


def test_our_own_errors_keep_their_meaning() -> None:
    assert classify(DatabaseUnavailable("away"), Tracker(), takes_inputs=True).kind is FailureKind.DATABASE


def test_a_save_that_was_lost_beside_a_node_s_error_is_why_the_attempt_failed() -> None:
    refused = TypeError("a value that cannot be saved is the graph's own fault")
    assert find_lost_save([]) is None
    assert find_lost_save([refused]) is None
    lost = find_lost_save([refused, psycopg.OperationalError("connection lost")])
    assert lost is not None
    assert lost.kind is FailureKind.DATABASE
    fenced = find_lost_save([Superseded("another runner has the thread")])
    assert fenced is not None
    assert fenced.kind is FailureKind.SUPERSEDED
