"""The store in PostgreSQL: one pool of connections and the tables' classes that use it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, cast

from psycopg_pool import AsyncConnectionPool

from agentic_core.errors import AgenticError
from agentic_store.announcements import Announcer
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
from agentic_store.turns import PostgresTurns
from agentic_store.vector_dims import fetch_dims

if TYPE_CHECKING:
    from agentic_store.event_upkeep import PostgresEventUpkeep
    from agentic_store.gateway_logins import PostgresLogins
    from agentic_store.gateway_tickets import PostgresTickets
    from agentic_store.interest import PostgresInterest
    from agentic_store.namespace_view import NamespaceView
    from agentic_store.repeated_requests import RepeatedRequests
    from agentic_store.retention import PostgresRetention
    from agentic_store.statistics import DatabaseStatistics
    from agentic_store.thread_values import PostgresThreadValues


class Database:
    """Sessions, turns, events, fences and threads over one pool; LangGraph's saver and store get the ``pool``, too."""

    def __init__(self, connections: FencedPool, *, patience_seconds: float) -> None:
        self._connections = connections
        self.sessions = PostgresSessions(connections.connection)
        self.announcer = Announcer(connections.connection)
        self.events = PostgresEventLog(connections.connection, self.announcer.announce)
        self.fences = PostgresFences(connections.connection, patience_seconds=patience_seconds)
        self.threads = PostgresThreads(connections.connection)
        self.tenants = PostgresTenants(connections.connection)
        self.trails = PostgresTrails(connections.connection)
        self.turns = PostgresTurns(connections.connection)

    @cached_property
    def retention(self) -> "PostgresRetention":
        """What removes the old; imported when it is needed, because runners never do."""
        from agentic_store.retention import PostgresRetention

        return PostgresRetention(self._connections.connection)

    @cached_property
    def event_upkeep(self) -> "PostgresEventUpkeep":
        """What joins and bounds event logs: the operator's."""
        from agentic_store.event_upkeep import PostgresEventUpkeep

        return PostgresEventUpkeep(self._connections.connection)

    @cached_property
    def thread_values(self) -> "PostgresThreadValues":
        """The newest values of sessions' states."""
        from agentic_store.thread_values import PostgresThreadValues

        return PostgresThreadValues(self._connections.connection)

    @cached_property
    def tickets(self) -> "PostgresTickets":
        """A gateway's tickets."""
        from agentic_store.gateway_tickets import PostgresTickets

        return PostgresTickets(self._connections.connection)

    @cached_property
    def logins(self) -> "PostgresLogins":
        """A gateway's log-ins."""
        from agentic_store.gateway_logins import PostgresLogins

        return PostgresLogins(self._connections.connection)

    def view(self, namespace: str) -> "NamespaceView":
        """Return what a gateway may read of one namespace."""
        from agentic_store.namespace_view import NamespaceView

        return NamespaceView(self._connections.connection, namespace)

    @cached_property
    def interest(self) -> "PostgresInterest":
        """Which sessions are watched; gateways alone have the right to say so."""
        from agentic_store.interest import PostgresInterest

        return PostgresInterest(self._connections.connection)

    async def remove_expired(self) -> int:
        """Remove what gateways kept for a while and is over; return how many rows."""
        from agentic_store.gateway_upkeep import remove_expired

        return await remove_expired(self._connections.connection)

    async def fetch_waiting_namespaces(self, *, limit: int = 1000) -> list[str]:
        """Return the names of namespaces in which a session waits for people."""
        from agentic_store.namespace_view import fetch_waiting_namespaces

        return await fetch_waiting_namespaces(self._connections.connection, limit=limit)

    @cached_property
    def repeated_requests(self) -> "RepeatedRequests":
        """What a gateway answered requests that somebody may send again."""
        from agentic_store.repeated_requests import RepeatedRequests

        return RepeatedRequests(self._connections.connection)

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
        """Return the dimension of the long-term store's vectors, None if the database has no tables for them."""
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

    With ``wait``, raises ``DatabaseUnavailable`` with the reason if there is no connection after
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
    database = Database(connections, patience_seconds=patience_seconds)
    try:
        yield database
    finally:
        await database.announcer.close()
        await connections.close()
