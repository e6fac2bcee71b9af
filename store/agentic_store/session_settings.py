"""Settings of our connections, so that a role's own settings do not change what we do.

Every role may run ``ALTER ROLE CURRENT_USER SET default_transaction_read_only = on``, which would stop all sessions
that log in as it. Two measures prevent that. Settings that would block the first statement are set at the connection's
start, after those of the role (``STARTUP``). One statement resets the others, in the round trip that queries the
backend anyway (``settle``). If a pooler refuses options at the start, connections to it have none, and are settled
again whenever they are checked.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from agentic_store.statements import load_statements

C = TypeVar("C", bound=psycopg.AsyncConnection[Any])

_SQL: Final = load_statements("connections")

# By these a role's own connections would end, or be refused, before a first statement is answered. No limit is what a
# server begins with; statements that need limits set their own.
STARTUP: Final = (
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"
    " -c local_preload_libraries="
)
# What the meaning, the durability or the success of our statements hangs on.
RELIED_ON: Final = (
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "array_nulls",
    "backslash_quote",
    "bytea_output",
    "client_connection_check_interval",
    "client_encoding",
    "commit_siblings",
    "default_table_access_method",
    "default_tablespace",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "local_preload_libraries",
    "lock_timeout",
    "quote_all_identifiers",
    "row_security",
    "session_replication_role",
    "standard_conforming_strings",
    "statement_timeout",
    "synchronous_commit",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "temp_tablespaces",
    "transaction_timeout",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
)
# PgBouncer: "unsupported startup parameter: options"; Amazon's proxy: "currently doesn't support command-line options".
_REFUSED: Final = re.compile(r"startup parameter|command-line options", re.IGNORECASE)
# Servers (host and port) that refuse options of the start: poolers.
_refusing: set[tuple[str, str]] = set()


async def connect_stating(
    open_connection: Callable[[Mapping[str, Any]], Awaitable[C]], conninfo: str, kwargs: Mapping[str, Any]
) -> C:
    """Open a connection with ``STARTUP`` before the options of its connection string; without it at a pooler."""
    known = {**conninfo_to_dict(conninfo), **kwargs}
    server = (str(known.get("host") or known.get("hostaddr") or ""), str(known.get("port") or ""))
    given = str(known.get("options") or "").strip()
    if server not in _refusing:
        try:
            return await open_connection({**kwargs, "options": f"{STARTUP} {given}".strip()})
        except psycopg.OperationalError as error:
            if _REFUSED.search(str(error)) is None:
                raise
            _refusing.add(server)
    return await open_connection(kwargs)


async def settle(conn: psycopg.AsyncConnection[Any]) -> int:
    """Reset the role's own settings; return the process that serves the connection at the moment."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        # Not prepared: a pooler's next backend would not know it.
        row = await (await cursor.execute(_SQL["ask"], prepare=False)).fetchone() or {"pid": 0, "says": False}
        if row["says"]:
            await cursor.execute(_SQL["settle"], {"settings": list(RELIED_ON)}, prepare=False)
    return int(row["pid"])
