"""Slots of ``maxActiveSessions``: which sessions of a workflow hold one, and which wait for one, in which order."""

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from agentic_operator.cache.entries import Entry
from agentic_operator.sessions.admission import Queue
from agentic_operator.sessions.blockers import HOLDING
from agentic_operator.sessions.keys import DefinitionKey, SessionKey


class Slot(Enum):
    """How a session counts for its workflow's ``maxActiveSessions``."""

    NONE = "none"
    WAITING = "waiting"
    ACTIVE = "active"


def find_slot(entry: Entry, *, has_job: bool) -> Slot:
    """Return how a session counts for its workflow."""
    if entry.is_final or entry.is_deleting:
        return Slot.NONE
    if entry.phase in ("Creating", "Running") or (has_job and entry.phase in ("", "Pending")):
        return Slot.ACTIVE
    if entry.phase == "Idle" and entry.turn > entry.ended_turn:
        # The pod that is there takes the turn.
        return Slot.ACTIVE
    has_turn = entry.has_waiting_turn or entry.turn > entry.ended_turn
    if entry.is_conversation and entry.phase in ("", "Pending") and not has_turn:
        return Slot.NONE
    # Sessions that the API server refuses must not block those behind them.
    if entry.phase in ("", "Pending") and entry.reason not in HOLDING:
        return Slot.WAITING
    # The reason alone proves nothing: a runner may write it, and a session that never starts would block the others.
    # A session is in the queue if it has no pod that could have written the reason, and has something to run for.
    is_in_line = entry.reason == "Queued" and not has_job
    may_run = entry.phase == "Suspended" or (entry.phase == "WaitingForInput" and entry.is_answered)
    may_run = may_run or (entry.phase == "Idle" and entry.has_waiting_turn)
    return Slot.WAITING if is_in_line and may_run else Slot.NONE


class _Waiter(NamedTuple):
    """A session in the line: by when it came there, then by name."""

    since: str
    name: str
    key: SessionKey


@dataclass(slots=True)
class _Workflow:
    active: set[str] = field(default_factory=set)
    """By uid."""
    waiting: list[_Waiter] = field(default_factory=list)


class Slots:
    """The slots of all workflows.

    ``wake`` is called with sessions whose turn may have come because another one gave its slot away, ``wake_later``
    with definitions whose number of active sessions changed. ``find_limit`` returns a workflow's ``maxActiveSessions``.
    """

    def __init__(
        self,
        wake: Callable[[SessionKey], None],
        wake_later: Callable[[DefinitionKey], None],
        find_limit: Callable[[DefinitionKey], int | None],
    ) -> None:
        self._wake = wake
        self._wake_later = wake_later
        self._find_limit = find_limit
        self._slots: dict[str, Slot] = {}
        self._workflows: dict[DefinitionKey, _Workflow] = {}
        self._waiters: dict[str, _Waiter] = {}
        """Where each session that waits is in its line, by uid."""

    def put(self, key: SessionKey, entry: Entry, slot: Slot) -> None:
        """Give a session this slot instead of the one that it had."""
        old = self._slots.get(entry.uid, Slot.NONE)
        if old is slot:
            return
        self._remove(entry)
        if slot is not Slot.NONE:
            workflow = self._workflows.setdefault(entry.workflow, _Workflow())
            self._slots[entry.uid] = slot
            if slot is Slot.ACTIVE:
                workflow.active.add(entry.uid)
            else:
                self._waiters[entry.uid] = _Waiter(entry.waits_since, key.name, key)
                bisect.insort(workflow.waiting, self._waiters[entry.uid])
        if Slot.ACTIVE in (old, slot):
            self._wake_later(entry.workflow)
        if slot is Slot.NONE or old is Slot.ACTIVE:
            self._wake_next(entry.workflow)

    def queue_of(self, key: SessionKey, entry: Entry) -> Queue:
        """Return how full the workflow is for a session."""
        workflow = self._workflows.get(entry.workflow)
        if workflow is None:
            return Queue()
        place = self._waiters.get(entry.uid) or _Waiter(entry.waits_since, key.name, key)
        ahead = bisect.bisect_left(workflow.waiting, place)
        return Queue(active=len(workflow.active) - (entry.uid in workflow.active), ahead=ahead)

    def count_active(self, workflow: DefinitionKey) -> int:
        """Return how many sessions of a workflow hold a slot."""
        found = self._workflows.get(workflow)
        return len(found.active) if found is not None else 0

    def waiting_for(self, workflow: DefinitionKey, limit: int | None = None) -> list[SessionKey]:
        """Return the sessions that wait for a slot, those that came first before the others."""
        found = self._workflows.get(workflow)
        return [waiter.key for waiter in found.waiting[:limit]] if found is not None else []

    def _remove(self, entry: Entry) -> None:
        slot = self._slots.pop(entry.uid, Slot.NONE)
        workflow = self._workflows.get(entry.workflow)
        if workflow is None or slot is Slot.NONE:
            return
        workflow.active.discard(entry.uid)
        if slot is Slot.WAITING:
            del workflow.waiting[bisect.bisect_left(workflow.waiting, self._waiters.pop(entry.uid))]
        if not workflow.active and not workflow.waiting:
            del self._workflows[entry.workflow]

    def _wake_next(self, workflow: DefinitionKey) -> None:
        """Wake the queued sessions that may start now."""
        limit = self._find_limit(workflow)
        if limit is not None:
            for key in self.waiting_for(workflow, max(limit - self.count_active(workflow), 0)):
                self._wake(key)
