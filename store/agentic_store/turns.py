"""``session_turns`` in PostgreSQL: the turns of conversations, and how each ended."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from psycopg.rows import kwargs_row, scalar_row

from agentic_core.contract import MAX_INLINE_RESULT_BYTES
from agentic_core.errors import Superseded, TransientError
from agentic_core.lifecycle import Phase
from agentic_core.names import notify_channel
from agentic_store.pool import Connection, Connections
from agentic_store.records import Json, TurnPhase, TurnRecord, TurnRow
from agentic_store.results.output import EncodedOutput, encode_json
from agentic_store.searches import can_exist, check_limit
from agentic_store.sessions import explain_refusal
from agentic_store.statements import load_statements
from agentic_store.transitions import sources_of

_SQL: Final = load_statements("turns")


class PostgresTurns:
    """The turns of conversations; see ``protocols.Turns``."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def record(self, records: Sequence[TurnRecord]) -> Sequence[tuple[str, int]]:
        records = drop_replaced(records)
        if not records:
            return ()
        async with self._connections() as conn, conn.transaction():
            # Some rows may be locked; the others need not wait for them.
            await conn.execute(_SQL["limit_locks"])
            found = await (await conn.execute(_SQL["record"], _record_params(records))).fetchall()
        known = {(row["session_uid"], row["number"]) for row in found}
        return [key for each in records if (key := (each.session_uid, each.number)) not in known]

    async def notify(self, session_uids: Sequence[str]) -> None:
        async with self._connections() as conn:
            await conn.execute(_SQL["notify"], {"channels": [notify_channel(uid) for uid in session_uids]})

    async def begin(self, record: TurnRecord) -> TurnRow:
        params = {
            "session_uid": record.session_uid,
            "number": record.number,
            "name": record.name,
            "author": record.author,
            "input": _encode(record.input),
            "command": _encode(record.command),
            "run": record.run,
        }
        async with self._connections() as conn, conn.transaction():
            await conn.execute(_SQL["begin"], params)
            row = await _fetch(conn, "get", {**params, "with_output": False})
        if row is None:
            raise TransientError(f"session {record.session_uid!r} is not recorded yet: its turn cannot begin")
        return row

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
        if not phase.is_over:
            raise ValueError("a turn that runs has not ended")
        params = {
            "session_uid": session_uid,
            "number": number,
            "run": run,
            "phase": phase.value,
            "output": None if output is None else output.text,
            "error": None if error is None else encode_json(error),
            "checkpoint_id": checkpoint_id,
            "status": Phase.IDLE.wire,
            "sources": sorted(source.wire for source in sources_of(Phase.IDLE)),
        }
        async with self._connections() as conn, conn.transaction():
            if not (await conn.execute(_SQL["finish"], params)).rowcount:
                known = await _fetch(conn, "get", {**params, "with_output": False})
                refuse_other_end(session_uid, number, run, phase, known)
            elif not (await conn.execute(_SQL["rest"], params)).rowcount:
                state = await (await conn.execute(_SQL["session_state"], params)).fetchone()
                found = None if state is None else (Phase.from_wire(state["status"]), int(state["run"]))
                raise Superseded(explain_refusal(session_uid, run, Phase.IDLE, found))

    async def get(self, session_uid: str, number: int, *, with_output: bool = False) -> TurnRow | None:
        params = {"session_uid": session_uid, "number": number, "with_output": with_output}
        async with self._connections() as conn:
            return await _fetch(conn, "get", params)

    async def find_end(self, session_uid: str, number: int) -> TurnRow | None:
        params = {"session_uid": session_uid, "number": number, "most": MAX_INLINE_RESULT_BYTES}
        async with self._connections() as conn:
            return await _fetch(conn, "end", params)

    async def list_turns(self, session_uid: str, *, after: int = 0, limit: int = 100) -> list[TurnRow]:
        params = {"session_uid": session_uid, "after": after, "limit": check_limit(limit)}
        async with self._connections() as conn, conn.cursor(row_factory=kwargs_row(_build_row)) as cursor:
            return await (await cursor.execute(_SQL["list"], params)).fetchall()

    async def find_used_names(self, session_uid: str, names: Collection[str]) -> frozenset[str]:
        wanted = [name for name in names if can_exist(name)]
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            params = {"session_uid": session_uid, "names": wanted}
            return frozenset(await (await cursor.execute(_SQL["names"], params)).fetchall())


def refuse_other_end(session_uid: str, number: int, run: int, phase: TurnPhase, known: TurnRow | None) -> None:
    """Raise ``Superseded`` unless ``known``, the turn as it stands, has ended as this run says."""
    if known is None:
        raise Superseded(f"turn {number} of session {session_uid!r} is gone: the session was deleted or replaced")
    # The answer to an earlier attempt may have been lost with its connection.
    if (known.phase, known.run) == (phase, run):
        return
    if known.phase.is_over:
        raise Superseded(
            f"turn {number} of session {session_uid!r} is {known.phase.value!r} and cannot become {phase.value!r}"
        )
    raise Superseded(f"turn {number} of session {session_uid!r} is at run {known.run}: run {run} may not end it")


def drop_replaced(records: Sequence[TurnRecord]) -> list[TurnRecord]:
    """Leave out the records that a later one of the same turn in the batch replaces, unless that one says less."""
    latest: dict[tuple[str, int], TurnRecord] = {}
    for record in records:
        key = record.session_uid, record.number
        if key not in latest or not latest[key].phase.is_over:
            latest[key] = record
    return list(latest.values())


def _record_params(records: Sequence[TurnRecord]) -> dict[str, Any]:
    return {
        "uids": [each.session_uid for each in records],
        "numbers": [each.number for each in records],
        "names": [each.name for each in records],
        "projects": [each.project_name for each in records],
        "sessions": [each.session_name for each in records],
        "authors": [each.author for each in records],
        "inputs": [_encode(each.input) for each in records],
        "commands": [_encode(each.command) for each in records],
        "phases": [each.phase.value for each in records],
        "errors": [_encode(each.error) for each in records],
        "checkpoints": [each.checkpoint_id for each in records],
        "runs": [each.run for each in records],
        "starts": [each.started_at for each in records],
        "ends": [each.finished_at for each in records],
    }


def _encode(value: Json) -> str | None:
    return None if value is None else encode_json(value)


async def _fetch(conn: Connection, statement: str, params: Mapping[str, Any]) -> TurnRow | None:
    async with conn.cursor(row_factory=kwargs_row(_build_row)) as cursor:
        return await (await cursor.execute(_SQL[statement], params)).fetchone()


def _build_row(phase: str, **columns: Any) -> TurnRow:
    return TurnRow(phase=TurnPhase(phase), **columns)
