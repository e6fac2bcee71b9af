"""Slots of ``maxActiveSessions``: which sessions of a workflow hold one, and which wait for one, oldest first."""

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
    """What a session is to its workflow's ``maxActiveSessions``."""

    NONE = "none"
    WAITING = "waiting"
    ACTIVE = "active"


def find_slot(entry: Entry, *, has_job: bool) -> Slot:
    """Return what a session is to its workflow."""
    if entry.is_final or entry.is_deleting:
        return Slot.NONE
    if entry.phase in ("Creating", "Running") or (has_job and entry.phase in ("", "Pending")):
        return Slot.ACTIVE
    # Those that the API server refuses must not hold up the others behind them.
    if entry.phase in ("", "Pending") and entry.reason not in HOLDING:
        return Slot.WAITING
    # The reason alone says nothing: a runner may write it, and whoever never takes a turn would hold up all behind it.
    # In line is who has no pod that could have written it, and something to run for.
    is_in_line = entry.reason == "Queued" and not has_job
    may_run = entry.phase == "Suspended" or (entry.phase == "WaitingForInput" and entry.is_answered)
    return Slot.WAITING if is_in_line and may_run else Slot.NONE


class _Waiter(NamedTuple):
    """A session in the line: by age, then by name."""

    created: str
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

    def put(self, key: SessionKey, entry: Entry, slot: Slot) -> None:
        """Give a session this slot instead of the one that it had."""
        old = self._slots.get(entry.uid, Slot.NONE)
        if old is slot:
            return
        self._remove(key, entry)
        if slot is not Slot.NONE:
            workflow = self._workflows.setdefault(entry.workflow, _Workflow())
            self._slots[entry.uid] = slot
            if slot is Slot.ACTIVE:
                workflow.active.add(entry.uid)
            else:
                bisect.insort(workflow.waiting, _Waiter(entry.created, key.name, key))
        if Slot.ACTIVE in (old, slot):
            self._wake_later(entry.workflow)
        if slot is Slot.NONE or old is Slot.ACTIVE:
            self._wake_next(entry.workflow)

    def queue_of(self, key: SessionKey, entry: Entry) -> Queue:
        """Return how full the workflow is for a session."""
        workflow = self._workflows.get(entry.workflow)
        if workflow is None:
            return Queue()
        ahead = bisect.bisect_left(workflow.waiting, _Waiter(entry.created, key.name, key))
        return Queue(active=len(workflow.active) - (entry.uid in workflow.active), ahead=ahead)

    def count_active(self, workflow: DefinitionKey) -> int:
        """Return how many sessions of a workflow hold a slot."""
        found = self._workflows.get(workflow)
        return len(found.active) if found is not None else 0

    def waiting_for(self, workflow: DefinitionKey, limit: int | None = None) -> list[SessionKey]:
        """Return the sessions that wait for a slot, oldest first."""
        found = self._workflows.get(workflow)
        return [waiter.key for waiter in found.waiting[:limit]] if found is not None else []

    def _remove(self, key: SessionKey, entry: Entry) -> None:
        slot = self._slots.pop(entry.uid, Slot.NONE)
        workflow = self._workflows.get(entry.workflow)
        if workflow is None or slot is Slot.NONE:
            return
        workflow.active.discard(entry.uid)
        if slot is Slot.WAITING:
            position = bisect.bisect_left(workflow.waiting, _Waiter(entry.created, key.name, key))
            del workflow.waiting[position]
        if not workflow.active and not workflow.waiting:
            del self._workflows[entry.workflow]

    def _wake_next(self, workflow: DefinitionKey) -> None:
        """Wake those in line whose turn it may be now."""
        limit = self._find_limit(workflow)
        if limit is not None:
            for key in self.waiting_for(workflow, max(limit - self.count_active(workflow), 0)):
                self._wake(key)
