"""A database that lost acknowledged checkpoints: what is told, and what becomes of questions that went with them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agentic_core.conditions import find_condition
from agentic_core.errors import GraphLoadError
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import AgenticSession, Interrupt
from agentic_runner.checkpoints.lost_checkpoints import LostCheckpoints, find_loss
from agentic_runner.execution.tracking import Progress
from agentic_runner.session import status as statuses
from agentic_store.thread_end import ThreadEnd

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
LOSS = LostCheckpoints("c7", 7, "c3", 3)
CONDITION = {"type": "CheckpointsLost", "status": "True", "reason": "CheckpointsLost", "lastTransitionTime": EARLIER}


def a_session(**status: Any) -> AgenticSession:
    return AgenticSession.model_validate(
        {
            "metadata": {"name": "s", "uid": "u", "resourceVersion": "7"},
            "spec": {"workflowRef": {"name": "w"}},
            "status": {"phase": "Running", "run": 1, **status},
        }
    )


@pytest.mark.parametrize(
    ("tip", "known", "loss"),
    [
        (ThreadEnd(None, None, None, has_known=True), None, None),
        (ThreadEnd("c9", "c9", 9, has_known=True), "c7", None),
        (ThreadEnd("c3", "c3", 3, has_known=False), "c7", LOSS),
        (ThreadEnd("c0", "c0", 0, has_known=False), "c7", LostCheckpoints("c7", 7, "c0", 0)),
        (ThreadEnd(None, None, None, has_known=False), "c7", LostCheckpoints("c7", 7, None, 0)),
    ],
)
def test_what_was_told_of_and_is_not_there_is_a_loss(
    tip: ThreadEnd, known: str | None, loss: LostCheckpoints | None
) -> None:
    assert find_loss(tip, known, 7, first_step=1) == loss


def test_the_status_goes_back_to_what_is_there_and_says_so() -> None:
    history = [{"id": f"c{number}", "step": number} for number in range(8)]
    session = a_session(phase="Creating", steps=7, checkpointId="c7", history=history)
    status = statuses.rewound(session, NOW, loss=LOSS)
    assert (status.phase, status.reason, status.steps, status.checkpoint_id) == (
        Phase.RUNNING,
        "CheckpointsLost",
        3,
        "c3",
    )
    assert [entry.id for entry in status.history] == ["c0", "c1", "c2", "c3"]
    condition = find_condition(status.conditions, "CheckpointsLost")
    assert condition is not None
    assert "of 7 super-steps 3 are there" in condition.message
    assert statuses.rewound(session, NOW, loss=LostCheckpoints("c7", 7, None, 0)).history == ()


def test_a_question_that_was_lost_goes_when_its_step_asks_anew_and_its_answer_is_not_taken() -> None:
    interrupts = [
        {"id": "taken", "answeredAt": EARLIER, "resumedAt": EARLIER},
        {"id": "open", "askedAt": EARLIER},
        {"id": "answered", "askedAt": EARLIER, "answeredAt": EARLIER, "answer": 1},
    ]
    asked = [Interrupt(id="new", node="n", value=1)]
    lost = statuses.waiting(a_session(interrupts=interrupts, conditions=[CONDITION]), NOW, asked, Progress())
    assert [each.id for each in lost.interrupts] == ["taken", "new"]
    kept = statuses.waiting(a_session(interrupts=interrupts), NOW, asked, Progress())
    assert [each.id for each in kept.interrupts] == ["taken", "open", "answered", "new"]
    # Without a loss it acted, in a run that could not say so.
    assert [each.resumed_at for each in kept.interrupts] == [EARLIER, None, NOW, None]


def test_an_answer_acts_again_where_only_what_it_did_was_lost() -> None:
    session = a_session(interrupts=[{"id": "q", "answeredAt": EARLIER, "resumedAt": EARLIER}], conditions=[CONDITION])
    asked = [Interrupt(id="q", node="n", value=1)]
    # Whichever process asks: also one that took over from the process which told of the loss.
    with pytest.raises(statuses.AnswersPending):
        statuses.waiting(session, NOW, asked, Progress())
    with pytest.raises(GraphLoadError, match="asks again under the id 'q'"):
        statuses.waiting(session, NOW, asked, Progress(), taken={"q"})
    # It acted again: from then on the graph has no reason to ask.
    acted = session.model_copy(update={"status": statuses.running(session, NOW, answered=["q"])})
    assert [each.resumed_at for each in acted.status.interrupts] == [NOW]
    with pytest.raises(GraphLoadError, match="asks again under the id 'q'"):
        statuses.waiting(acted, NOW, asked, Progress())


def test_of_two_losses_the_last_one_says_which_answers_act_again() -> None:
    between = datetime(2026, 1, 1, 12, tzinfo=UTC)
    session = a_session(interrupts=[{"id": "q", "answeredAt": EARLIER, "resumedAt": between}], conditions=[CONDITION])
    asked = [Interrupt(id="q", node="n", value=1)]
    with pytest.raises(GraphLoadError):
        statuses.waiting(session, NOW, asked, Progress())
    again = session.model_copy(update={"status": statuses.rewound(session, NOW, loss=LOSS)})
    with pytest.raises(statuses.AnswersPending):
        statuses.waiting(again, NOW, asked, Progress())
