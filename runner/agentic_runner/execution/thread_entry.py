"""Where a run enters its thread: inputs, last checkpoint, answers, or nothing to do.

Pure: what a checkpoint says goes in, what to give the graph comes out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agentic_core.questions import BREAKPOINT_PREFIX

if TYPE_CHECKING:
    from langgraph.types import StateSnapshot


@dataclass(frozen=True)
class PendingInterrupt:
    """An interrupt that waits for an answer."""

    id: str
    node: str | None
    value: Any
    schema: dict[str, Any] | None = None

    @property
    def is_breakpoint(self) -> bool:
        """Whether the graph stopped because of ``interrupt_before`` or ``interrupt_after``, without a question."""
        return self.id.startswith(BREAKPOINT_PREFIX)


@dataclass(frozen=True)
class ThreadState:
    """The state of a thread's last checkpoint."""

    exists: bool = False
    is_input: bool = False
    """Whether nothing has run yet: the checkpoint holds the inputs alone."""
    next: tuple[str, ...] = ()
    checkpoint_id: str | None = None
    questions: tuple[PendingInterrupt, ...] = ()
    has_unfinished: bool = False
    """Whether a task of the super-step neither asks nor has ended: its process died."""
    turn: str | None = None
    """The turn that the checkpoint belongs to; None for one of no turn."""
    is_branch: bool = False
    """Whether the checkpoint was made by a branch or an update, and not by a super-step or an input."""

    @property
    def breakpoint(self) -> PendingInterrupt:
        return PendingInterrupt(
            f"{BREAKPOINT_PREFIX}{self.checkpoint_id}", ", ".join(self.next) or None, {"before": list(self.next)}
        )


class EntryAction(StrEnum):
    """What a run does with its thread."""

    START = "start"
    CONTINUE = "continue"
    RESUME = "resume"
    WAIT = "wait"
    REPORT = "report"


@dataclass(frozen=True)
class Entry:
    """What to do, and the answers that a resume hands over."""

    action: EntryAction
    answers: Mapping[str, Any]
    questions: tuple[PendingInterrupt, ...] = ()
    takes_inputs: bool = False
    """Whether no node has run yet, so that an error before the first one is about the inputs."""


def decide_entry(
    thread: ThreadState, responses: Mapping[str, Any], *, asked: Collection[str] = (), breakpoints: Collection[str] = ()
) -> Entry:
    """Decide how to enter the thread.

    ``responses`` are all answers ever given, by interrupt id; ``asked`` the ids that the status shows;
    ``breakpoints`` the nodes that the graph stops before, ``*`` for all.
    Answers to questions that are not open are ignored: the answer that acted first stays.
    """
    if not thread.exists:
        return Entry(EntryAction.START, {}, takes_inputs=True)
    if not thread.next:
        return Entry(EntryAction.REPORT, {})
    if thread.questions:
        answers = {q.id: responses[q.id] for q in thread.questions if q.id in responses}
        if answers:
            return Entry(EntryAction.RESUME, answers)
        if not thread.has_unfinished:
            return Entry(EntryAction.WAIT, {}, thread.questions)
        return Entry(EntryAction.CONTINUE, {})
    stop = thread.breakpoint
    if stop.id in responses:
        return Entry(EntryAction.CONTINUE, {stop.id: responses[stop.id]})
    if stop.id in asked or "*" in breakpoints or not set(breakpoints).isdisjoint(thread.next):
        return Entry(EntryAction.WAIT, {}, (stop,))
    return Entry(EntryAction.CONTINUE, {}, takes_inputs=thread.is_input)


def read_thread(snapshot: "StateSnapshot") -> ThreadState:
    """Return the state of a snapshot of the thread."""
    if snapshot.metadata is None:
        return ThreadState()
    pending = {interrupt.id for interrupt in snapshot.interrupts}
    return ThreadState(
        exists=True,
        is_input=snapshot.metadata.get("source") == "input",
        is_branch=snapshot.metadata.get("source") in ("update", "fork"),
        turn=turn if isinstance(turn := dict(snapshot.metadata).get("agentic_turn"), str) else None,
        next=snapshot.next,
        checkpoint_id=snapshot.config.get("configurable", {}).get("checkpoint_id"),
        questions=tuple(
            PendingInterrupt(
                id=interrupt.id,
                node=task.name,
                value=interrupt.value,
                schema=schema if isinstance(schema := getattr(interrupt, "response_schema", None), dict) else None,
            )
            for task in snapshot.tasks
            for interrupt in task.interrupts
            if interrupt.id in pending
        ),
        has_unfinished=any(
            not task.interrupts and task.result is None and task.error is None for task in snapshot.tasks
        ),
    )
