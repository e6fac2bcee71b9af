"""``session_answers`` in PostgreSQL: the trail of who answered what, by session."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from psycopg.errors import InsufficientPrivilege
from psycopg.rows import class_row, scalar_row

from agentic_core.errors import PermanentError
from agentic_store.pool import Connections
from agentic_store.records import TrailRow
from agentic_store.statements import load_statements

_SQL: Final = load_statements("trails")
# Rows that an export fetches at a time: each has at most a value of some hundred KiB.
FETCHED: Final = 200


class PostgresTrails:
    """The trail; see ``protocols.Trails``."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def store(self, rows: Sequence[TrailRow]) -> Mapping[str, int]:
        if not rows:
            return {}
        params = {
            "uids": [row.session_uid for row in rows],
            "seqs": [row.seq for row in rows],
            "projects": [row.project_name for row in rows],
            "names": [row.session_name for row in rows],
            "entries": [row.entry for row in rows],
            "hashes": [row.hash for row in rows],
            "values": [row.value for row in rows],
            "messages": [row.message for row in rows],
        }
        async with self._connections() as conn, conn.transaction():
            await conn.execute(_SQL["limit_locks"])
            await conn.execute(_SQL["add"], params)
            # Asked after it is done, so that a row which another process added a moment ago is compared, too.
            found = await (await conn.execute(_SQL["others"], params)).fetchall()
            return {row["session_uid"]: row["seq"] for row in found}

    async def remove_old(self, days: int, projects: Sequence[str] | None = None, *, limit: int = 100) -> int:
        params = {"projects": None if projects is None else list(projects), "days": days, "most": limit}
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            removed: int | None = await (await cursor.execute(_SQL["remove"], params)).fetchone()
            return removed or 0

    async def export(
        self,
        *,
        projects: Sequence[str] | None = None,
        sessions: Sequence[str] | None = None,
        since: datetime | None = None,
    ) -> AsyncIterator[TrailRow]:
        """Yield the entries of whole chains, by project, session and number, from one moment of the database.

        ``since`` leaves out chains that have not grown since then. Holds some rows at a time, however many there are.
        """
        params = {
            "projects": None if projects is None else list(projects),
            "sessions": None if sessions is None else list(sessions),
            "since": since,
        }
        async with (
            self._connections() as conn,
            conn.transaction(),
            conn.cursor("trail", row_factory=class_row(TrailRow)) as cursor,
        ):
            cursor.itersize = FETCHED
            try:
                await cursor.execute(_SQL["export"], params)
            except InsufficientPrivilege as error:
                raise PermanentError(
                    "the database role may not read the trail: run `GRANT SELECT ON session_answers TO …`"
                ) from error
            async for row in cursor:
                yield row
