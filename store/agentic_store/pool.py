"""The pool of connections, and the fence that they carry in their names.

Every connection is checked before it is lent, so a restarted server costs a reconnection and not an error. At that
moment it also gets the process's fence, so no code can write under an outdated one by accident. A query at each check
would cost a third of a small super-step, so one that was just in use and has a quiet socket is taken for alive.
"""

import asyncio
import re
import select
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Self, TypeAlias

import psycopg
from psycopg.pq import PipelineStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from agentic_core.errors import AgenticError, DatabaseUnavailable
from agentic_store.connect import CONNECT_TIMEOUT_SECONDS, connect, is_pooled
from agentic_store.dsn import Dsn
from agentic_store.errors import Unfenced, translated
from agentic_store.libpq import shield
from agentic_store.records import Fence
from agentic_store.session_settings import connect_stating, settle
from agentic_store.statements import load_statements

_SQL: Final = load_statements("fences")
_CHECK_SECONDS: Final = 5.0
# A connection that was lent within this time is not asked whether its server is still there.
_FRESH_SECONDS: Final = 5.0
# PostgreSQL cuts longer ones off.
_LONGEST_NAME: Final = 63
# A peer that vanished without a word is noticed by the kernel after these, not after hours.
_KEEPALIVE: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

Connection: TypeAlias = psycopg.AsyncConnection[DictRow]
Connections: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]


def build_name(application_name: str, fence: Fence | None) -> str:
    """Return the name of a connection that carries ``fence``: the server reads it from there at every write."""
    carried = "" if fence is None else f" fence={fence.number}/{fence.epoch}"
    return application_name[: _LONGEST_NAME - len(carried)] + carried


def carries(name: str, fence: Fence) -> bool:
    """Whether a connection's name, as the server has it, carries ``fence``; the trigger reads it the same way."""
    found = re.search(r" fence=([0-9]{1,18})/([0-9]{1,18})(?![0-9])", name)
    return found is not None and (int(found[1]), int(found[2])) == (fence.number, fence.epoch)


async def prepare_connection(conn: "FencedConnection") -> None:
    """Settle a new connection; prepare no statements where its transactions may each come to another backend."""
    if await settle(conn) != conn.info.backend_pid:
        conn.is_pooled = True
        conn.prepare_threshold = None


class FencedConnection(psycopg.AsyncConnection[DictRow]):
    """A connection that remembers the fence in its name, and when it was lent."""

    carried: Fence | None = None
    lent_at: float = -_FRESH_SECONDS
    is_pooled: bool = False
    """Whether a pooler answers in the server's place."""

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        async def connect_with(given: Mapping[str, Any]) -> Self:
            return await cls._open(super(FencedConnection, cls).connect(conninfo, **given))

        return await connect_stating(connect_with, conninfo, kwargs)

    @classmethod
    async def _open(cls, connecting: Coroutine[Any, Any, Self]) -> Self:
        return await connecting

    def is_fresh(self, now: float) -> bool:
        """Whether it was lent a moment ago and nothing has come since: a server that ends sends its last words."""
        if now - self.lent_at >= _FRESH_SECONDS:
            return False
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return not poll.poll(0)


class IsolatedConnection(FencedConnection):
    """One that variables of the process have no part in."""

    @classmethod
    async def _open(cls, connecting: Coroutine[Any, Any, Self]) -> Self:
        return await shield(connecting)


class CertainPool(AsyncConnectionPool[FencedConnection]):
    """A pool that lends no connection again of which it is not certain what was left on it.

    An operation that is broken off leaves psycopg's idea of a connection behind the server's: in pipeline mode, where a
    statement counts as done before the server has seen it and its refusal is told to nobody, or within transactions
    that are over. So a connection whose use was cancelled is closed, and one that is still in pipeline mode, too.
    Here, because LangGraph's saver and store take connections from the pool itself.
    """

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[FencedConnection]:  # noqa: ASYNC109  (the pool's)
        async with super().connection(timeout) as conn, closing_if_broken_off(conn):
            yield conn


@asynccontextmanager
async def closing_if_broken_off(conn: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    """Close a connection if what is done on it is cancelled, or leaves it in pipeline mode, which is an error, too."""
    is_certain = False
    try:
        yield
        is_certain = not _is_in_pipeline(conn)
    except Exception:
        is_certain = not _is_in_pipeline(conn)
        raise
    finally:
        if not is_certain:
            await conn.close()
    if not is_certain:
        raise psycopg.InterfaceError("the connection was left in pipeline mode")


def _is_in_pipeline(conn: psycopg.AsyncConnection[Any]) -> bool:
    return not conn.closed and conn.pgconn.pipeline_status != PipelineStatus.OFF


class FencedPool:
    """A bounded pool whose connections carry one fence, or none."""

    def __init__(
        self,
        dsn: Dsn,
        *,
        application_name: str,
        min_size: int,
        max_size: int,
        operation_seconds: float,
        on_error: Callable[[AgenticError], None],
    ) -> None:
        self._dsn = dsn
        self._on_error = on_error
        self._application_name = application_name
        self._operation_seconds = operation_seconds
        self._fence: Fence | None = None
        self.pool: AsyncConnectionPool[FencedConnection] = CertainPool(
            self._read_conninfo,
            connection_class=IsolatedConnection if dsn.is_isolated else FencedConnection,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "prepare_threshold": 0,
                "application_name": application_name,
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                **_KEEPALIVE,
            },
            configure=prepare_connection,
            check=self._check,
            min_size=min_size,
            max_size=max_size,
            name=application_name,
            open=False,
        )

    async def open(self, *, wait: bool, timeout_seconds: float) -> None:
        """Open the pool; with ``wait``, raise ``DatabaseUnavailable`` with the reason where no connection is made."""
        await self.pool.open()
        if not wait:
            return
        try:
            await self.pool.wait(timeout_seconds)
        except PoolTimeout:
            await self.close()
            # The pool does not report the reason; one attempt of our own does.
            conn = await connect(self._dsn, application_name=self._application_name)
            await conn.close()
            raise DatabaseUnavailable(
                f"no connection to PostgreSQL at {self._dsn.describe()} within {timeout_seconds:g} s"
            ) from None

    def _read_conninfo(self) -> str:
        """Return the connection string for a new connection: a password may have been changed since the last one."""
        self._dsn = self._dsn.refresh()
        return self._dsn.conninfo

    async def close(self) -> None:
        await self.pool.close()

    def carry(self, fence: Fence | None) -> None:
        """Let every connection that is handed out from now on write under ``fence``."""
        self._fence = fence

    async def prove(self) -> None:
        """Raise ``Unfenced`` unless the server finds the fence in the names of our connections.

        A pooler may give the next statement another connection of the server: while the one before is busy it has to.
        Nothing is held meanwhile, so that any number of runs may do this behind few connections (decision 22).
        """
        fence = self._fence
        if fence is None:
            return
        async with self.connection() as conn:
            if not await is_pooled(conn) or self.pool.max_size == 1:
                await _require_carried(conn, fence)
                return
            async with self.connection() as other:
                for busy, asked in ((other, conn), (conn, other)):
                    await asyncio.gather(busy.execute(_SQL["be_busy"], prepare=False), _require_carried(asked, fence))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection for one operation, with its errors translated and its time bounded."""
        try:
            with translated():
                try:
                    async with asyncio.timeout(self._operation_seconds), self.pool.connection() as conn:
                        yield conn
                except TimeoutError as error:
                    raise DatabaseUnavailable(
                        f"PostgreSQL at {self._dsn.describe()} did not answer within {self._operation_seconds:g} s"
                    ) from error
        except AgenticError as error:
            self._on_error(error)
            raise

    async def _check(self, conn: FencedConnection) -> None:
        fence, now = self._fence, time.monotonic()
        async with asyncio.timeout(_CHECK_SECONDS), closing_if_broken_off(conn):
            if conn.carried != fence:
                await conn.execute(_SQL["carry"], {"name": build_name(self._application_name, fence)})
                conn.carried = fence
            elif conn.is_fresh(now):
                pass
            elif conn.is_pooled:
                # Another backend may answer now, with the role's own settings.
                await settle(conn)
            else:
                await AsyncConnectionPool.check_connection(conn)
        conn.lent_at = now


async def _require_carried(conn: Connection, fence: Fence) -> None:
    row = await (await conn.execute(_SQL["carried"], prepare=False)).fetchone()
    name = str((row or {}).get("name"))
    if not carries(name, fence):
        raise Unfenced(f"a connection that we named {build_name('…', fence)!r} has arrived as {name[:63]!r}")
