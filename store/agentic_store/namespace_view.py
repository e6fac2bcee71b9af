"""What a gateway reads: the rows of one namespace, as the database enforces it.

The role ``agentic_gateway`` serves every namespace, and each transaction names the one that its caller was found to be
allowed to read. Row-level security shows no other, and none if none is named.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from psycopg.rows import scalar_row

from agentic_core.errors import Conflict, Superseded, TransientError
from agentic_store.events import PostgresEventLog
from agentic_store.pool import Connection, Connections
from agentic_store.records import NewEvent
from agentic_store.results.output import encode_json
from agentic_store.results.stored import StoredResults
from agentic_store.sessions import PostgresSessions
from agentic_store.statements import load_statements
from agentic_store.thread_values import PostgresThreadValues
from agentic_store.trails import PostgresTrails
from agentic_store.turns import PostgresTurns

_SQL: Final = load_statements("gateway")
# Of several writers at once one wins each time.
_TRIES: Final = 50


def bind_namespace(connections: Connections, namespace: str, *, is_pipelined: bool = False) -> Connections:
    """Return connections whose every lending is one transaction that sees the rows of ``namespace`` alone.

    ``is_pipelined`` sends its begin with the first statement: two round trips for a read in place of four. Cursors of
    the server do not work there.
    """

    @asynccontextmanager
    async def lend() -> AsyncIterator[Connection]:
        async with connections() as conn, conn.transaction():
            await conn.execute(_SQL["enter_namespace"], {"namespace": namespace})
            yield conn

    @asynccontextmanager
    async def lend_pipelined() -> AsyncIterator[Connection]:
        async with connections() as conn:
            try:
                async with conn.pipeline():
                    # A transaction of psycopg waits for the answer to its begin.
                    await conn.execute(b"BEGIN")
                    await conn.execute(_SQL["enter_namespace"], {"namespace": namespace})
                    yield conn
                    await conn.execute(b"COMMIT")
            except BaseException:
                await conn.rollback()
                raise

    return lend_pipelined if is_pipelined else lend


class NamespaceView:
    """Sessions, turns, events, trails and results of one namespace, to be read; and the events of its runners."""

    def __init__(self, connections: Connections, namespace: str) -> None:
        self._namespace = namespace
        self._bound = bound = bind_namespace(connections, namespace)
        quick = bind_namespace(connections, namespace, is_pipelined=True)
        self.sessions = PostgresSessions(bound)
        self.events = PostgresEventLog(quick)
        self.turns = PostgresTurns(quick)
        self.trails = PostgresTrails(bound)
        self.results = StoredResults(bound)
        self.values = PostgresThreadValues(quick)

    async def append_events(self, session_uid: str, run: int, events: Sequence[NewEvent], *, floor: int = 0) -> int:
        """Append what a runner of this namespace reported, after ``floor`` in any case; return the last number.

        Raises ``Superseded`` where the session is gone, or another namespace's.
        """
        params = {
            "namespace": self._namespace,
            "session_uid": session_uid,
            "run": run,
            "floor": floor,
            "types": [event.type for event in events],
            "data": [encode_json(event.data) for event in events],
        }
        for _ in range(_TRIES):
            try:
                async with self._bound() as conn:
                    row = await (await conn.execute(_SQL["append_events"], params)).fetchone()
            except Conflict:
                continue
            if row is None or row["seq"] is None:
                raise Superseded(f"session {session_uid!r} is gone: it was deleted or replaced")
            return int(row["seq"])
        raise TransientError(f"events of session {session_uid!r} met those of others {_TRIES} times: try again")


async def fetch_waiting_namespaces(connections: Connections, *, limit: int) -> list[str]:
    """Return the names of namespaces in which a session waits for people, sorted."""
    async with connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
        return await (await cursor.execute(_SQL["waiting_namespaces"], {"most": limit})).fetchall()
