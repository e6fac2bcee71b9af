"""What our connections state of themselves, so that nothing which a role says of its own changes what we do.

``ALTER ROLE CURRENT_USER SET default_transaction_read_only = on`` is for every role to say, and would stop all sessions
that log in as it. Two things stand against that. What would keep the first statement from being answered goes along
with the connection's start, where it comes after whatever a role says (``STARTUP``). The rest is put back by one
statement, in the round trip that asks for the backend anyway (``settle``). Poolers that refuse options of the start are
connected to without them; a connection behind one is settled again whenever it is looked at.
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
    """Put back what the role says of its own; return the process that serves the connection at this moment."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        # Not prepared: a pooler's next backend would not know it.
        row = await (await cursor.execute(_SQL["ask"], prepare=False)).fetchone() or {"pid": 0, "says": False}
        if row["says"]:
            await cursor.execute(_SQL["settle"], {"settings": list(RELIED_ON)}, prepare=False)
    return int(row["pid"])
