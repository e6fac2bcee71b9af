"""What the parts of a stream are worth."""

import math
from typing import Any

import pytest

from agentic_core.resources.session import HistoryEntry
from agentic_runner.execution.tracking import MAX_CUSTOM_BYTES, Progress, Tracker, keep_saved, small_json


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"progress": 0}, "0%"),
        ({"progress": 0.999}, "99%"),
        ({"progress": 1}, "100%"),
        ({"progress": 1.01}, None),
        ({"progress": -0.1}, None),
        ({"progress": math.nan}, None),
        ({"progress": True}, None),
        ({"progress": "50%"}, None),
        ("progress", None),
    ],
)
def test_progress_is_a_share_of_one(data: Any, shown: str | None) -> None:
    tracker = Tracker()
    (event,) = tracker.see((), "custom", data)
    assert tracker.progress.progress == shown
    assert event.type == ("custom" if shown is None else "progress")


def test_nodes_of_subgraphs_show_their_path() -> None:
    tracker = Tracker()
    (event,) = tracker.see(("outer:123", "middle:456"), "tasks", {"id": "1", "name": "n", "input": 1, "triggers": ()})
    assert event.data["node"] == "outer/middle/n"
    assert tracker.progress == Progress(current_node="outer/middle/n")


def test_steps_count_from_the_first_node_and_subgraphs_do_not_count() -> None:
    tracker = Tracker(first_step=1)

    def checkpoint(step: int, namespace: tuple[str, ...] = ()) -> None:
        config = {"configurable": {"checkpoint_id": f"c{step}"}}
        tracker.see(namespace, "checkpoints", {"config": config, "metadata": {"step": step}, "next": ["x"]})

    counted = []
    for step in (-1, 0, 1, 2):
        checkpoint(step)
        counted.append(tracker.progress.steps)
    checkpoint(9, ("sub:1",))
    assert counted == [0, 0, 1, 2]
    assert tracker.progress.steps == 2
    assert tracker.checkpoint_id == "c2"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"a": [1, None]}, {"a": [1, None]}),
        ({"nul": "\x00"}, {"nul": "\ufffd"}),
        (math.nan, {"text": "<class 'float'>"}),
        ({1, 2}, "{1, 2}"),
        ("x" * (MAX_CUSTOM_BYTES + 1), {"truncated": True, "size": MAX_CUSTOM_BYTES + 3}),
    ],
)
def test_custom_data_is_small_and_plain(value: Any, plain: Any) -> None:
    assert small_json(value) == plain


def test_data_that_contains_itself_is_no_trouble() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert small_json(loop) == {"text": "<class 'list'>"}


def test_what_is_not_saved_is_not_told() -> None:
    history = tuple(HistoryEntry(id=f"c{number}", step=number) for number in range(1, 5))
    ahead = Progress(current_node="n", steps=4, checkpoint_id="c4", history=history)
    assert keep_saved(ahead, "c4") == ahead
    told = keep_saved(ahead, "c2")
    assert (told.current_node, told.steps, told.checkpoint_id, told.history) == ("n", 2, "c2", history[:2])
    nothing = keep_saved(ahead, None)
    assert (nothing.steps, nothing.checkpoint_id, nothing.history) == (0, None, ())
    assert keep_saved(Progress(history=history), None).history == history
