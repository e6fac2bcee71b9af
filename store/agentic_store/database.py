"""The store in PostgreSQL: one pool of connections and what is done with it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, cast

from psycopg_pool import AsyncConnectionPool

from agentic_core.errors import AgenticError
from agentic_store.dsn import Dsn
from agentic_store.events import PostgresEventLog
from agentic_store.fences import PostgresFences
from agentic_store.pool import Connection, FencedPool
from agentic_store.records import Fence
from agentic_store.schema_migrations.schema import SchemaState, require_schema
from agentic_store.sessions import PostgresSessions
from agentic_store.tenants import PostgresTenants
from agentic_store.threads import PostgresThreads
from agentic_store.trails import PostgresTrails
from agentic_store.vector_dims import fetch_dims

if TYPE_CHECKING:
    from agentic_store.retention import PostgresRetention
    from agentic_store.statistics import DatabaseStatistics


class Database:
    """Sessions, events, fences and threads over one pool; ``pool`` is also what LangGraph's saver and store get."""

    def __init__(self, connections: FencedPool, *, patience_seconds: float) -> None:
        self._connections = connections
        self.sessions = PostgresSessions(connections.connection)
        self.events = PostgresEventLog(connections.connection)
        self.fences = PostgresFences(connections.connection, patience_seconds=patience_seconds)
        self.threads = PostgresThreads(connections.connection)
        self.tenants = PostgresTenants(connections.connection)
        self.trails = PostgresTrails(connections.connection)

    @cached_property
    def retention(self) -> "PostgresRetention":
        """What removes the old; imported when it is needed, because runners never do."""
        from agentic_store.retention import PostgresRetention

        return PostgresRetention(self._connections.connection)

    @property
    def pool(self) -> AsyncConnectionPool[Connection]:
        """Connections with autocommit, rows as dicts and the fence of this process."""
        # A pool only gives connections out: whoever expects the base class is served as well.
        return cast("AsyncConnectionPool[Connection]", self._connections.pool)

    async def require_schema(self, *, checkpoint_version: int | None = None) -> SchemaState:
        """Raise ``SchemaMismatch`` unless the database is at the migration that this program needs."""
        async with self._connections.connection() as conn:
            return await require_schema(conn, checkpoint_version=checkpoint_version)

    async def fetch_vector_dims(self) -> int | None:
        """Return the dimension of the long-term store's vectors, None where the database has no tables for them."""
        async with self._connections.connection() as conn:
            return await fetch_dims(conn)

    async def fetch_statistics(self) -> "DatabaseStatistics":
        """Return sizes, estimates and the migration's state."""
        from agentic_store.statistics import fetch_statistics

        return await fetch_statistics(self._connections.connection)

    async def carry(self, fence: Fence) -> None:
        """Write under ``fence`` from now on: every write of this process is refused once a newer run takes the thread.

        Connections that are lent at this moment keep what they had: carry before anything else writes. Raises
        ``Unfenced`` where the server does not find the fence in our connections' names.
        """
        self._connections.carry(fence)
        await self._connections.prove()


@asynccontextmanager
async def open_database(
    dsn: Dsn,
    *,
    application_name: str,
    min_size: int = 1,
    max_size: int = 4,
    timeout_seconds: float = 30.0,
    wait: bool = True,
    operation_seconds: float = 120.0,
    patience_seconds: float = 10.0,
    on_error: Callable[[AgenticError], None] = lambda _: None,
) -> AsyncIterator[Database]:
    """Open the store, and close it at the end.

    With ``wait``, raises ``DatabaseUnavailable`` with the reason where there is no connection after
    ``timeout_seconds``; without, connections are made in the background. ``operation_seconds`` bounds each operation
    and ``patience_seconds`` how long a stuck writer may keep a successor from its fence. ``on_error`` is
    told every failed operation.
    """
    connections = FencedPool(
        dsn,
        application_name=application_name,
        min_size=min_size,
        max_size=max_size,
        operation_seconds=operation_seconds,
        on_error=on_error,
    )
    await connections.open(wait=wait, timeout_seconds=timeout_seconds)
    try:
        yield Database(connections, patience_seconds=patience_seconds)
    finally:
        await connections.close()
