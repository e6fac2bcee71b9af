"""One plain connection, and the patience to wait for a server that is still coming up."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
from psycopg.rows import scalar_row

from agentic_core.errors import DatabaseUnavailable, PermanentError
from agentic_store.dsn import Dsn
from agentic_store.libpq import shield
from agentic_store.session_settings import connect_stating, settle

CONNECT_TIMEOUT_SECONDS: Final = 5
_PAUSE_SECONDS: Final = 0.5
# Waiting does not help against these errors. While connecting, libpq gives no code, only these English texts.
_HOPELESS: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "server does not support SSL",
    "certificate verify failed",
    "does not match host name",
)


async def connect(dsn: Dsn, *, application_name: str, autocommit: bool = True) -> psycopg.AsyncConnection[Any]:
    """Open one connection; raise ``DatabaseUnavailable`` or, where trying again cannot help, ``PermanentError``."""
    try:
        given = {"application_name": application_name, "connect_timeout": CONNECT_TIMEOUT_SECONDS}

        async def connect_with(kwargs: Mapping[str, Any]) -> psycopg.AsyncConnection[Any]:
            connecting = psycopg.AsyncConnection.connect(
                dsn.conninfo, autocommit=True, prepare_threshold=None, **kwargs
            )
            return await (shield(connecting) if dsn.is_isolated else connecting)

        conn = await connect_stating(connect_with, dsn.conninfo, given)
        try:
            await settle(conn)
            await conn.set_autocommit(autocommit)
        except BaseException:
            await conn.close()
            raise
        else:
            return conn
    except psycopg.Error as error:
        reason = _shorten(dsn.redact(str(error)))
        message = f"cannot connect to PostgreSQL at {dsn.describe()}: {reason}"
        if any(phrase in reason for phrase in _HOPELESS):
            raise PermanentError(f"{message}: correct the connection string") from None
        raise DatabaseUnavailable(message) from None


async def connect_when_ready(
    dsn: Dsn, *, application_name: str, wait_seconds: float, report: Callable[[str], None]
) -> psycopg.AsyncConnection[Any]:
    """Connect like ``connect``, retry for ``wait_seconds`` and report the reason for waiting."""
    deadline = time.monotonic() + wait_seconds
    last = ""
    while True:
        try:
            return await connect(dsn, application_name=application_name)
        except DatabaseUnavailable as error:
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise
            if str(error) != last:
                report(f"waiting for the database: {error}")
            last = str(error)
        await asyncio.sleep(_PAUSE_SECONDS)


async def is_pooled(conn: psycopg.AsyncConnection[Any]) -> bool:
    """Whether a pooler such as PgBouncer answers in the server's place: it cannot know which backend comes next."""
    return await fetch_backend(conn) != conn.info.backend_pid


async def fetch_backend(conn: psycopg.AsyncConnection[Any]) -> int:
    """Return the process that serves the connection at this moment; behind a pooler its client does not know it."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        pid: int = await (await cursor.execute("SELECT pg_backend_pid()", prepare=False)).fetchone() or 0
    return pid


def _shorten(message: str) -> str:
    """Return libpq's message on one line, without its repetitions for each address that it tried."""
    lines = dict.fromkeys(line.strip() for line in message.splitlines() if line.strip())
    return "; ".join(lines)
