"""Isolates connections from the environment: only their connection string determines their parameters.

A runner shares its process with an author's project, whose variables (``PGOPTIONS``, ``PGSSLMODE``, ``PGAPPNAME``, …)
are for the project's own connections. Each libpq parameter with a variable gets a value, so that libpq does not read
the variable. A few variables have no parameter: they are hidden while libpq works on one of our connections.
"""

import contextlib
import os
import types
from collections.abc import Coroutine, Generator, Iterator
from typing import Any, Final, TypeVar

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agentic_core.errors import PermanentError

T = TypeVar("T")

# Variables that libpq always reads while it connects.
_WITHOUT_PARAMETER: Final = ("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGTZ", "PGDATESTYLE", "PGGEQO")
# A service would be looked up even where every parameter is given.
_NOT_GIVEN: Final = frozenset({"service"})
# libpq's defaults for parameters whose empty value is an error or makes it read files of a home directory.
_NEUTRAL: Final = {
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "gsslib": "gssapi",
    "max_protocol_version": "3.0",
    "min_protocol_version": "3.0",
    "passfile": "/nonexistent/pgpass",
    # An empty one would allow no server that asks for anything.
    "require_auth": ",".join(
        ["password", "md5", "gss", "sspi", "scram-sha-256", *(["oauth"] if pq.version() >= 180_000 else []), "none"]
    ),
    "sslcertmode": "allow",
}


def isolate(conninfo: str) -> str:
    """Return the connection string with a value for everything that libpq would take from a variable.

    Raises ``PermanentError`` where it names no user: libpq would take the process's.
    """
    given: dict[str, Any] = dict(conninfo_to_dict(conninfo))
    if not given.get("user"):
        raise PermanentError(
            "the PostgreSQL connection string names no user: write `postgresql://user:password@host/db`"
        )
    for option in pq.Conninfo.get_defaults():
        keyword = option.keyword.decode()
        if option.envvar is not None and keyword not in given and keyword not in _NOT_GIVEN:
            neutral = _NEUTRAL.get(keyword, "")
            given[keyword] = option.compiled.decode() if option.compiled is not None else neutral
    return make_conninfo("", **given)


@contextlib.contextmanager
def _out_of_sight() -> Iterator[None]:
    taken = {name: os.environ.pop(name) for name in _WITHOUT_PARAMETER if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)


@types.coroutine
def shield(connecting: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await ``connecting`` with the variables that no parameter replaces out of its sight, and of nobody else's.

    They are away while it runs, not while it waits for the server: other tasks see the environment as it is.
    """
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        with _out_of_sight():
            try:
                awaited = connecting.send(sent) if thrown is None else connecting.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result
        try:
            sent, thrown = (yield awaited), None
        except BaseException as error:  # noqa: BLE001  (whatever comes, a cancellation too, is the coroutine's to take)
            sent, thrown = None, error
