"""The last checkpoints of a session, as its status lists them."""

from datetime import UTC, datetime

import pytest

from agentic_core.contract import MAX_HISTORY
from agentic_core.resources.session import AgenticSession, HistoryEntry
from agentic_runner.execution.history import extend, join_nodes, recall
from agentic_runner.execution.tracking import Progress, Tracker
from agentic_runner.session import status as statuses
from agentic_store.threads import CheckpointRow

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def a_row(number: int, **changes: object) -> CheckpointRow:
    fields: dict[str, object] = {
        "checkpoint_id": f"c{number}",
        "parent_checkpoint_id": None,
        "step": number,
        "source": "loop",
        "at": NOW,
        "nodes": ["a"],
        "next": [],
        "is_interrupted": False,
        "forked_from": None,
    }
    return CheckpointRow(**{**fields, **changes})  # type: ignore[arg-type]  # a test names the fields


@pytest.mark.parametrize(
    ("names", "text"),
    [([], None), (["a"], "a"), (["b", "a", "b"], "b, a")],
    ids=["none", "one", "some, one of them twice"],
)
def test_nodes_are_one_text(names: list[str], text: str | None) -> None:
    assert join_nodes(names) == text


def test_the_text_of_many_nodes_fits_into_the_status() -> None:
    text = join_nodes(f"node-{number}" for number in range(1000))
    assert text is not None
    assert len(text) <= 256


def test_what_the_database_lists_newest_first_is_told_oldest_first() -> None:
    recalled = recall([a_row(2, nodes=["b"], next=["c", "d"]), a_row(1)])
    assert [(entry.id, entry.node, entry.next) for entry in recalled] == [("c1", "a", None), ("c2", "b", "c, d")]


def test_who_told_of_a_checkpoint_first_knew_it_best() -> None:
    seen = HistoryEntry(id="c1", step=1, node="a, b")
    merged = extend([seen], recall([a_row(2), a_row(1, nodes=[])]))
    assert merged == (seen, *recall([a_row(2)]))


def test_the_oldest_make_room() -> None:
    known = recall([a_row(number) for number in reversed(range(MAX_HISTORY))])
    extended = extend(known, recall([a_row(MAX_HISTORY)]))
    assert [entry.id for entry in extended] == [f"c{number}" for number in range(1, MAX_HISTORY + 1)]


def test_a_checkpoint_is_written_by_the_nodes_that_ended_since_the_one_before() -> None:
    tracker = Tracker(now=lambda: NOW)

    def task(name: str, *, namespace: tuple[str, ...] = (), **result: object) -> None:
        tracker.see(namespace, "tasks", {"id": name, "name": name, **result})

    def checkpoint(step: int, *following: str) -> None:
        config = {"configurable": {"checkpoint_id": f"c{step}"}}
        tracker.see((), "checkpoints", {"config": config, "metadata": {"step": step}, "next": list(following)})

    checkpoint(0, "left", "right")
    for name in ("left", "right"):
        task(name, result={})
    task("below", namespace=("left:1",), result={})
    checkpoint(1, "w", "w")
    task("w", result={}, interrupts=[{"id": "i"}])
    task("w", error="no luck")
    task("w", result={})
    checkpoint(2)
    at = NOW.replace(microsecond=0)
    assert tracker.progress.history == (
        HistoryEntry(id="c0", step=0, next="left, right", at=at),
        HistoryEntry(id="c1", step=1, node="left, right", next="w", at=at),
        HistoryEntry(id="c2", step=2, node="w", at=at),
    )


def test_progress_extends_the_history_of_the_status() -> None:
    document = {
        "metadata": {"name": "s", "uid": "u"},
        "spec": {"workflowRef": {"name": "w"}},
        "status": {"phase": "Running", "history": [{"id": "c1", "node": "a"}]},
    }
    session = AgenticSession.model_validate(document)
    status = statuses.progressing(session, Progress(history=(HistoryEntry(id="c1"), HistoryEntry(id="c2"))))
    assert status.to_wire()["history"] == [{"id": "c1", "node": "a"}, {"id": "c2"}]
