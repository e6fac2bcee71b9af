"""What the store takes and returns, as frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    """A session as the database has it; ``output_data`` only where it was asked for."""

    updated_at: datetime
    workflow_version: str | None = None
    output_data: Json = None

    @property
    def key(self) -> PageKey:
        return PageKey(self.created_at, self.session_name)


@dataclass(frozen=True)
class NewEvent:
    """Something that happened in a run; ``at`` is the time of writing where it is None."""

    type: str
    data: Mapping[str, Json]
    at: datetime | None = None


@dataclass(frozen=True)
class Event:
    """An event with its place in its session's log: ``seq`` starts at 1 and has no gaps."""

    session_uid: str
    seq: int
    run: int
    at: datetime
    type: str
    data: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class TrailRow:
    """An entry of a session's trail.

    ``entry`` is JSON in its canonical form and ``hash`` its SHA-256; ``value`` (canonical JSON) and ``message`` are
    what the entry has the digests of, None where that is nothing or was taken away.
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
