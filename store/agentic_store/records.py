"""What the store takes and returns, as frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from agentic_core.lifecycle import Phase

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"


@dataclass(frozen=True)
class PageKey:
    """Where a page of the list ended: what comes after it in the order of the list is the next page."""

    created_at: datetime
    session_name: str


@dataclass(frozen=True, kw_only=True)
class SessionRecord:
    """What the operator knows of a session; ``created_at`` is the resource's creation time."""

    project_name: str
    session_name: str
    session_uid: str
    workflow_name: str
    status: Phase
    thread_id: str
    created_at: datetime
    input_data: Json = None
    run: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error: Mapping[str, Json] | None = None


@dataclass(frozen=True, kw_only=True)
class SessionRow(SessionRecord):
    """A session's row; ``output_data`` only on request."""

    updated_at: datetime
    workflow_version: str | None = None
    output_data: Json = None

    @property
    def key(self) -> PageKey:
        return PageKey(self.created_at, self.session_name)


class TurnPhase(StrEnum):
    """How a turn stands in ``session_turns``."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_over(self) -> bool:
        return self is not TurnPhase.RUNNING


@dataclass(frozen=True, kw_only=True)
class TurnRecord:
    """What operator and runner know of a turn: ``number`` counts from 1, ``input`` or ``command`` is what was asked."""

    session_uid: str
    number: int
    name: str
    project_name: str
    session_name: str
    author: str = ""
    input: Json = None
    command: Json = None
    phase: TurnPhase = TurnPhase.RUNNING
    error: Mapping[str, Json] | None = None
    checkpoint_id: str | None = None
    run: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class TurnRow(TurnRecord):
    """A turn's row; ``output`` only on request."""

    created_at: datetime
    output: Json = None


@dataclass(frozen=True)
class NewEvent:
    """An event of a run; ``at`` None means the time of writing."""

    type: str
    data: Mapping[str, Json]
    at: datetime | None = None
    turn: int = 0
    """Of a conversation; 0 if the session has none."""


@dataclass(frozen=True)
class Event:
    """An event with its place in its session's log: from 1 on; what is missing was joined, lost or removed."""

    session_uid: str
    seq: int
    run: int
    at: datetime
    type: str
    data: Mapping[str, Json]
    turn: int = 0
    """Of a conversation; 0 if the session has none."""
    since: int | None = None
    """From which number on those directly before it were joined into rows that are there; None if none were."""


@dataclass(frozen=True, kw_only=True)
class TrailRow:
    """An entry of a session's trail.

    ``entry`` is JSON in its canonical form and ``hash`` its SHA-256; ``value`` (canonical JSON) and ``message`` are
    what the entry has the digests of, None if that is nothing or was taken away.
    """

    project_name: str
    session_name: str
    session_uid: str
    seq: int
    entry: str
    hash: str
    value: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Fence:
    """The right to write a thread: held from when it was taken until a higher epoch is.

    ``failures`` counts how often the graph failed in this ``run`` before; ``number`` stands for the thread where its
    name is too long or nobody's business.
    """

    thread_id: str
    session_uid: str
    epoch: int
    run: int
    failures: int
    holder: str
    session_created_at: datetime | None = None
    number: int | None = None
