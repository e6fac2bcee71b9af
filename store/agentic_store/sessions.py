"""``workflow_sessions`` in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.errors import InsufficientPrivilege, QueryCanceled
from psycopg.rows import kwargs_row, scalar_row

from agentic_core.errors import PermanentError, Superseded, TransientError
from agentic_core.lifecycle import Phase
from agentic_store.pool import Connection, Connections
from agentic_store.records import Json, PageKey, SessionRecord, SessionRow
from agentic_store.results.output import EncodedOutput, encode_json, make_storable
from agentic_store.searches import InvalidSearch, can_exist, check_limit, check_version, encode_search
from agentic_store.statements import load_statements
from agentic_store.threads import purge_threads
from agentic_store.transitions import sources_of

_SQL: Final = load_statements("sessions")
_OPEN: Final = [phase.wire for phase in Phase if not phase.is_final]


class NoSuchParent(PermanentError):
    """A part of an output was to be put into an object that is not there."""


class PostgresSessions:
    """The record of every session; see ``protocols.Sessions``."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def record_session(self, record: SessionRecord) -> bool:
        return await self.record_sessions([record]) > 0

    async def record_sessions(self, records: Sequence[SessionRecord]) -> int:
        if not records:
            return 0
        records = _drop_replaced(records)
        names = {
            "projects": [record.project_name for record in records],
            "names": [record.session_name for record in records],
            "uids": [record.session_uid for record in records],
            "times": [record.created_at for record in records],
        }
        async with self._connections() as conn, conn.pipeline() as pipeline, conn.transaction():
            # Some rows may be locked; the others need not wait for them.
            await conn.execute(_SQL["limit_locks"])
            # Asked before it is done: a runner may make its row, and has no right to delete another.
            older = await (await conn.execute(_SQL["older"], names)).fetchall()
            if older:
                await _delete_rows(conn, [row["session_uid"] for row in older], records)
            recorded = [await conn.execute(_SQL["record"], _record_params(record)) for record in records]
            await pipeline.sync()
            return sum(cursor.rowcount for cursor in recorded)

    async def start_run(self, session_uid: str, run: int) -> None:
        params = _change_params(session_uid, run, Phase.RUNNING)
        async with self._connections() as conn:
            if (await conn.execute(_SQL["start_run"], params)).rowcount:
                return
            if await _fetch_state(conn, session_uid) is None:
                raise TransientError(
                    f"session {session_uid!r} is not recorded yet: the operator does that before it starts a run"
                )
            await _refuse(conn, session_uid, run, Phase.RUNNING)

    async def change_status(self, session_uid: str, run: int, status: Phase) -> None:
        if status.is_final:
            raise ValueError(f"{status.wire!r} is final: use finish()")
        async with self._connections() as conn:
            params = _change_params(session_uid, run, status)
            if not (await conn.execute(_SQL["change_status"], params)).rowcount:
                await _refuse(conn, session_uid, run, status)

    async def finish(
        self,
        session_uid: str,
        run: int,
        status: Phase,
        *,
        output: EncodedOutput | None = None,
        error: Mapping[str, Json] | None = None,
    ) -> None:
        if not status.is_final:
            raise ValueError(f"{status.wire!r} is not final: use change_status()")
        params = _change_params(session_uid, run, status) | {
            "output": None if output is None else output.text,
            "error": None if error is None else encode_json(error),
        }
        async with self._connections() as conn:
            if (await conn.execute(_SQL["finish"], params)).rowcount:
                return
            # The answer to an earlier attempt may have been lost with its connection.
            if await _fetch_state(conn, session_uid) != (status, run):
                await _refuse(conn, session_uid, run, status)

    async def update_output(self, session_uid: str, run: int, path: Sequence[str], value: object) -> None:
        path = check_path(path)
        params = {
            "session_uid": session_uid,
            "run": run,
            "open": _OPEN,
            "path": path,
            "parent": path[:-1],
            "value": encode_json(value),
        }
        async with self._connections() as conn:
            if (await conn.execute(_SQL["update_output"], params)).rowcount:
                return
            state = await _fetch_state(conn, session_uid)
        if state is None or state[0].is_final or state[1] > run:
            raise Superseded(explain_refusal(session_uid, run, Phase.RUNNING, state))
        raise NoSuchParent(explain_missing_parent(session_uid, path))

    async def get(self, session_uid: str, *, with_output: bool = False) -> SessionRow | None:
        if not can_exist(session_uid):
            return None
        return await self._fetch_row("get", {"session_uid": session_uid, "with_output": with_output})

    async def find(self, project_name: str, session_name: str, *, with_output: bool = False) -> SessionRow | None:
        if not can_exist(project_name, session_name):
            return None
        params = {"project_name": project_name, "session_name": session_name, "with_output": with_output}
        return await self._fetch_row("find", params)

    async def list_by_project(
        self,
        project_name: str,
        *,
        limit: int = 100,
        before: PageKey | None = None,
        workflow_version: str | None = None,
    ) -> list[SessionRow]:
        params = _page_params(project_name, limit, before)
        if not can_exist(project_name, workflow_version or ""):
            return []
        async with self._connections() as conn, conn.cursor(row_factory=kwargs_row(_build_row)) as cursor:
            if workflow_version is None:
                return await (await cursor.execute(_SQL["list"], params)).fetchall()
            params["workflow_version"] = check_version(workflow_version)
            return await (await cursor.execute(_SQL["list_version"], params)).fetchall()

    async def search(
        self,
        project_name: str,
        containing: Mapping[str, Json],
        *,
        limit: int = 100,
        before: PageKey | None = None,
        patience_seconds: float = 5.0,
    ) -> list[SessionRow]:
        params = _page_params(project_name, limit, before) | {"containing": encode_search(containing)}
        if not can_exist(project_name):
            return []
        async with (
            self._connections() as conn,
            conn.transaction(),
            conn.cursor(row_factory=kwargs_row(_build_row)) as cursor,
        ):
            await conn.execute(_SQL["limit_time"], {"timeout": f"{patience_seconds * 1000:.0f}ms"})
            try:
                # Not prepared: a plan for any search whatever would be a bad one for most.
                return await (await cursor.execute(_SQL["search"], params, prepare=False)).fetchall()
            except QueryCanceled as error:
                raise InvalidSearch(
                    f"the search took over {patience_seconds:g} s: ask for more fields, or for fewer sessions"
                ) from error

    async def delete_session(self, session_uid: str) -> bool:
        async with self._connections() as conn, conn.transaction(), conn.cursor(row_factory=scalar_row) as cursor:
            params = {"session_uid": session_uid}
            fenced = await (await cursor.execute(_SQL["delete_fence"], params)).fetchall()
            recorded = await (await cursor.execute(_SQL["delete_row"], params)).fetchall()
            threads = {"threads": sorted({*fenced, *recorded})}
            await purge_threads(conn, await (await cursor.execute(_SQL["free_threads"], threads)).fetchall())
            return bool(threads["threads"])

    async def fetch_session_uids(self) -> frozenset[str]:
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            return frozenset(await (await cursor.execute(_SQL["uids"])).fetchall())

    async def find_orphans(self, existing_uids: Collection[str], *, min_age_seconds: float = 300) -> list[str]:
        params = {"existing": list(existing_uids), "min_age_seconds": min_age_seconds}
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            return await (await cursor.execute(_SQL["orphans"], params)).fetchall()

    async def _fetch_row(self, statement: str, params: Mapping[str, Any]) -> SessionRow | None:
        async with self._connections() as conn, conn.cursor(row_factory=kwargs_row(_build_row)) as cursor:
            return await (await cursor.execute(_SQL[statement], params)).fetchone()


async def _delete_rows(conn: Connection, uids: Sequence[str], records: Sequence[SessionRecord]) -> None:
    try:
        await (await conn.execute(_SQL["delete_rows"], {"uids": uids})).fetchall()
    except InsufficientPrivilege as error:
        names = ", ".join(repr(record.session_name) for record in records)
        raise TransientError(f"{names} is still recorded under another uid: the operator replaces that row") from error


def _page_params(project_name: str, limit: int, before: PageKey | None) -> dict[str, Any]:
    return {
        "project_name": project_name,
        "limit": check_limit(limit),
        "created_at": "infinity" if before is None else before.created_at,
        "session_name": "" if before is None else before.session_name,
    }


def _drop_replaced(records: Sequence[SessionRecord]) -> list[SessionRecord]:
    """Leave out the records of sessions that a later one of the same name in the batch replaces."""
    latest: dict[tuple[str, str], SessionRecord] = {}
    for record in records:
        name = record.project_name, record.session_name
        if name not in latest or latest[name].created_at <= record.created_at:
            latest[name] = record
    return [r for r in records if latest[r.project_name, r.session_name].session_uid == r.session_uid]


def _record_params(record: SessionRecord) -> dict[str, Any]:
    return {
        "session_uid": record.session_uid,
        "project_name": record.project_name,
        "session_name": record.session_name,
        "workflow_name": record.workflow_name,
        "input_data": encode_json(record.input_data),
        "error": None if record.error is None else encode_json(record.error),
        "thread_id": record.thread_id,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "completed_at": record.completed_at,
        "is_final": record.status.is_final,
        **_change_params(record.session_uid, record.run, record.status),
    }


def _change_params(session_uid: str, run: int, status: Phase) -> dict[str, Any]:
    sources = sorted(source.wire for source in sources_of(status))
    return {"session_uid": session_uid, "run": run, "status": status.wire, "sources": sources}


def _build_row(status: str, created_at: datetime, updated_at: datetime, **columns: Any) -> SessionRow:
    return SessionRow(status=Phase.from_wire(status), created_at=created_at, updated_at=updated_at, **columns)


async def _fetch_state(conn: Connection, session_uid: str) -> tuple[Phase, int] | None:
    row = await (await conn.execute(_SQL["state"], {"session_uid": session_uid})).fetchone()
    return None if row is None else (Phase.from_wire(row["status"]), row["run"])


async def _refuse(conn: Connection, session_uid: str, run: int, status: Phase) -> None:
    state = await _fetch_state(conn, session_uid)
    if state is not None and state[0] in sources_of(status) and state[1] <= run:
        # There was no such row a moment ago, or not in this state: nobody else is on.
        raise TransientError(f"session {session_uid!r} was recorded just now: try again")
    raise Superseded(explain_refusal(session_uid, run, status, state))


def check_path(path: Sequence[str]) -> list[str]:
    """Return where in an output something goes, as PostgreSQL takes it: keys of objects, outermost first."""
    if not path:
        raise ValueError("a path names at least one key of the output")
    return [make_storable(key) for key in path]


def explain_missing_parent(session_uid: str, path: Sequence[str]) -> str:
    """Return why nothing can be put at ``path``."""
    where = "".join(f"/{key}" for key in path[:-1])
    return f"the output of session {session_uid!r} has no object at {where or '/'!r}: put that there first"


def explain_refusal(session_uid: str, run: int, status: Phase, state: tuple[Phase, int] | None) -> str:
    """Return why run ``run`` may not set ``status`` on a row that is in ``state``."""
    if state is None:
        return f"session {session_uid!r} is gone: it was deleted or replaced"
    known_status, known_run = state
    if known_run > run:
        return f"session {session_uid!r} is at run {known_run}: run {run} may not set {status.wire!r}"
    return f"session {session_uid!r} is {known_status.wire!r} and cannot become {status.wire!r}"
