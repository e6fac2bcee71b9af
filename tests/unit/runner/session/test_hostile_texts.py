"""Whatever the author's code says, the status that the runner writes hides nothing where people read it."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentic_core.conditions import Reason
from agentic_core.display import hides
from agentic_core.resources.session import AgenticSession
from agentic_runner.execution.history import join_nodes
from agentic_runner.execution.thread_entry import PendingInterrupt
from agentic_runner.execution.tracking import Progress, Tracker
from agentic_runner.output.redaction import describe
from agentic_runner.session import status as statuses
from agentic_runner.session.interrupts import build_interrupts
from agentic_runner.session.status import RunFailure

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TEXTS = st.text(
    st.sampled_from("\x00\x1b\x9b\u061c\u200b\u200d\u202e\u2066\u2028\ufeff\U000e0041\ud800ab \n"), max_size=12
)
# What is exact by promise: data of the author's and the ids of his questions.
EXACT = {"value", "schema", "id", "result"}


def list_shown(value: Any) -> list[str]:
    """Return all texts of a status but those that are exact."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, each in value.items() if key not in EXACT for text in list_shown(each)]
    return [text for each in value for text in list_shown(each)] if isinstance(value, list) else []


def a_session() -> AgenticSession:
    return AgenticSession.model_validate(
        {
            "metadata": {"name": "s", "uid": "u", "generation": 3, "resourceVersion": "7"},
            "spec": {"workflowRef": {"name": "w"}},
            "status": {"phase": "Running", "run": 1},
        }
    )


@given(TEXTS, TEXTS, TEXTS)
def test_no_status_of_a_runner_hides_anything(one: str, two: str, three: str) -> None:
    tracker = Tracker()
    tracker.see((f"{one}:1",), "tasks", {"id": "t", "name": two, "input": None})
    tracker.see((), "custom", {"progress": 0.5, "message": three})
    progress = tracker.progress
    questions = build_interrupts(
        [
            PendingInterrupt(id="q", node=one, value={"prompt": two, "options": [three, one]}),
            PendingInterrupt("r", three, two),
        ]
    )
    written = [
        statuses.waiting(a_session(), NOW, questions, progress),
        statuses.failed(
            a_session(), NOW, RunFailure(Reason.GRAPH_ERROR, one, describe(ValueError(two)), three), progress
        ),
        statuses.troubled(a_session(), Reason.RETRYING, one),
        statuses.progressing(a_session(), Progress(message=progress.message, current_node=progress.current_node)),
    ]
    shown = [text for status in written for text in list_shown(status.to_wire())]
    assert not [text for text in [*shown, join_nodes([one, two]) or ""] if hides(text)]
