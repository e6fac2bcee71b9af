"""What any store of sessions, events and fences does.

Two keep this contract and pass the same tests: PostgreSQL (``database``) and memory (``memory``).
Every method may raise ``DatabaseUnavailable``.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from agentic_core.lifecycle import Phase
from agentic_store.records import (
    Event,
    Fence,
    Json,
    NewEvent,
    PageKey,
    SessionRecord,
    SessionRow,
    TrailRow,
    TurnPhase,
    TurnRecord,
    TurnRow,
)
from agentic_store.results.output import EncodedOutput


class Sessions(Protocol):
    """The record of every session."""

    async def record_session(self, record: SessionRecord) -> bool:
        """Write what the operator knows; return whether anything changed.

        A row of the same name and another uid, created no later, is replaced together with its events. A row in a final
        status or of a later run is left as it is; so is the time of the first start.
        """
        ...

    async def record_sessions(self, records: Sequence[SessionRecord]) -> int:
        """Do as ``record_session`` for all records, in one transaction; return how many changed."""
        ...

    async def start_run(self, session_uid: str, run: int) -> None:
        """Set the status to running; repeatable.

        Raises ``TransientError`` where the session is not recorded (yet), ``Superseded`` where it is final or has a
        later run.
        """
        ...

    async def change_status(self, session_uid: str, run: int, status: Phase) -> None:
        """Set a status that is not final, such as waiting for input; repeatable.

        Raises ``Superseded`` where the session is gone, is final or has a later run.
        """
        ...

    async def finish(
        self,
        session_uid: str,
        run: int,
        status: Phase,
        *,
        output: EncodedOutput | None = None,
        error: Mapping[str, Json] | None = None,
    ) -> None:
        """Set a final status with its output or error; repeating the same end changes nothing.

        Without an output, what ``update_output`` wrote stays. Raises ``Superseded`` as ``change_status`` does, and
        ``OutputTooLarge`` at 100 MB.
        """
        ...

    async def update_output(self, session_uid: str, run: int, path: Sequence[str], value: object) -> None:
        """Put ``value`` into the output at ``path``, keys of objects from the outside in; other parts stay.

        Writers at once lose nothing of each other's. Raises ``NoSuchParent`` where all keys but the last do not lead to
        an object, ``OutputTooLarge`` at 100 MB, and ``Superseded`` as ``change_status`` does.
        """
        ...

    async def get(self, session_uid: str, *, with_output: bool = False) -> SessionRow | None:
        """Return the session of this uid, or None."""
        ...

    async def find(self, project_name: str, session_name: str, *, with_output: bool = False) -> SessionRow | None:
        """Return the session that has this name now, or None."""
        ...

    async def list_by_project(
        self,
        project_name: str,
        *,
        limit: int = 100,
        before: PageKey | None = None,
        workflow_version: str | None = None,
    ) -> list[SessionRow]:
        """Return a page of a project's sessions, newest first, without inputs and outputs; of one version if named.

        Raises ``InvalidSearch`` for a limit over 1,000 and a version over 128 bytes.
        """
        ...

    async def search(
        self,
        project_name: str,
        containing: Mapping[str, Json],
        *,
        limit: int = 100,
        before: PageKey | None = None,
        patience_seconds: float = 5.0,
    ) -> list[SessionRow]:
        """Return a page of the sessions whose inputs contain these fields, newest first, without inputs and outputs.

        An object contains another that has some of its keys, a list another of some of its items, in any order.
        Raises ``InvalidSearch`` as ``list_by_project`` does, where nothing is asked for, and after
        ``patience_seconds``.
        """
        ...

    async def delete_session(self, session_uid: str) -> bool:
        """Remove the session's row, events, fence and checkpoints; return whether there was anything.

        A thread that a newer session of the same name has taken over stays.
        """
        ...

    async def fetch_session_uids(self) -> frozenset[str]:
        """Return the uids of all sessions that have a row or a fence."""
        ...

    async def find_orphans(self, existing_uids: Collection[str], *, min_age_seconds: float = 300) -> list[str]:
        """Return the uids that are not among ``existing_uids`` and were not touched for ``min_age_seconds``.

        The age covers sessions created after the caller listed the existing ones.
        """
        ...


class Turns(Protocol):
    """The turns of conversations. A turn ends once: its end stays as it is."""

    async def record(self, records: Sequence[TurnRecord]) -> Sequence[tuple[str, int]]:
        """Write what the operator knows of turns; a turn that ended is left as it is.

        Turns that run are told to whoever listens for their session. Returns, by session and number, those whose
        session has no row (yet): they are to be recorded again after it. Raises ``Conflict`` where another turn of the
        session has the name of one.
        """
        ...

    async def notify(self, session_uids: Sequence[str]) -> None:
        """Tell whoever listens for these sessions that there is something new in their status, such as an answer."""
        ...

    async def begin(self, record: TurnRecord) -> TurnRow:
        """Note that a run begins a turn or goes on with it; return its row, which tells where it has ended already.

        Raises ``TransientError`` where the session is not recorded (yet).
        """
        ...

    async def finish(
        self,
        session_uid: str,
        number: int,
        run: int,
        phase: TurnPhase,
        *,
        output: EncodedOutput | None = None,
        error: Mapping[str, Json] | None = None,
        checkpoint_id: str | None = None,
    ) -> None:
        """End a turn, and note that its session is idle; repeating the same end changes nothing.

        Raises ``Superseded`` where the session is gone, is final or has a later run, and where the turn ended
        otherwise; ``OutputTooLarge`` at 100 MB.
        """
        ...

    async def get(self, session_uid: str, number: int, *, with_output: bool = False) -> TurnRow | None:
        """Return a turn, or None."""
        ...

    async def find_end(self, session_uid: str, number: int) -> TurnRow | None:
        """Return a turn that ended, with its output where that is at most 32 KiB, without what was asked."""
        ...

    async def list_turns(self, session_uid: str, *, after: int = 0, limit: int = 100) -> list[TurnRow]:
        """Return the turns that follow number ``after``, in order, without their outputs."""
        ...

    async def find_used_names(self, session_uid: str, names: Collection[str]) -> frozenset[str]:
        """Return which of these names turns of the session had."""
        ...


class EventLog(Protocol):
    """The events of each session, in order. The rows are authoritative; a notification only wakes readers."""

    async def append(self, session_uid: str, run: int, events: Sequence[NewEvent], *, floor: int = 0) -> int:
        """Add events and return the last one's ``seq``; numbers have no gaps, also with several writers at once.

        ``floor`` is the highest number that the writer knows to have been given: no number up to it is given again,
        whatever rows were lost, and a row of type ``gap`` says which are missing (``event_numbers``).
        Raises ``Superseded`` where the session is gone.
        """
        ...

    async def read(self, session_uid: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """Return the events that follow number ``after``, in order."""
        ...


class Trails(Protocol):
    """Who answered what in each session: entries that are added, never changed, and removed by whole chains."""

    async def store(self, rows: Sequence[TrailRow]) -> Mapping[str, int]:
        """Add entries, all or none; one that is there already is left as it is.

        Returns by session the number of the first entry in whose place another one is.
        """
        ...

    async def remove_old(self, days: int, projects: Sequence[str] | None = None, *, limit: int = 100) -> int:
        """Remove up to ``limit`` chains that did not grow for ``days`` and whose session has no row any more.

        Of these projects, or of all; returns how many they were.
        """
        ...


class Fences(Protocol):
    """Who may write a thread's checkpoints."""

    async def take(
        self, thread_id: str, session_uid: str, run: int, holder: str, *, session_created_at: datetime | None = None
    ) -> Fence:
        """Take the thread for this run, under a new and higher epoch.

        Waits for the former holder's writes in flight. A thread that another, older session of the same name wrote is
        emptied first. Raises ``Superseded`` where a later run has it, or a session made after ``session_created_at``.
        """
        ...

    async def record_failure(self, fence: Fence) -> int:
        """Count a failure of the graph and return how many this run has had; ``Superseded`` if the fence is lost."""
        ...

    async def verify(self, fence: Fence) -> None:
        """Raise ``Superseded`` unless the fence is still held."""
        ...
