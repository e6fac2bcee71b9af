"""``gateway_logins`` in PostgreSQL: who is logged in at the gateway by a browser."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from agentic_store.pool import Connections
from agentic_store.statements import load_statements

_SQL: Final = load_statements("gateway_logins")


@dataclass(frozen=True)
class Login:
    """A log-in's row; ``sealed`` is sealed with a key that only the browser has. ``version`` counts refreshes."""

    hash: bytes
    username: str
    sealed: bytes
    version: int
    created_at: datetime
    expires_at: datetime


class PostgresLogins:
    """Log-ins, each refreshed by one replica at a time."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add(self, hash_: bytes, username: str, sealed: bytes, *, seconds: float) -> None:
        """Keep a log-in for so long, by the database's clock."""
        params = {"hash": hash_, "username": username, "sealed": sealed, "seconds": seconds}
        async with self._connections() as conn:
            await conn.execute(_SQL["add"], params)

    async def get(self, hash_: bytes) -> Login | None:
        """Return a log-in; None if there is none, or its time is over."""
        async with self._connections() as conn, conn.cursor(row_factory=class_row(Login)) as cursor:
            return await (await cursor.execute(_SQL["get"], {"hash": hash_})).fetchone()

    async def claim_refresh(self, hash_: bytes, version: int, *, seconds: float) -> bool:
        """Return whether the caller is the one that refreshes this version, for as long as ``seconds``."""
        params = {"hash": hash_, "version": version, "seconds": seconds}
        async with self._connections() as conn:
            return (await conn.execute(_SQL["claim_refresh"], params)).rowcount == 1

    async def replace(self, hash_: bytes, version: int, sealed: bytes) -> bool:
        """Store the tokens that follow ``version``; return whether the log-in was still there at that version."""
        async with self._connections() as conn:
            params = {"hash": hash_, "version": version, "sealed": sealed}
            return (await conn.execute(_SQL["replace"], params)).rowcount == 1

    async def remove(self, hash_: bytes) -> bool:
        """End a log-in, for all replicas at once; return whether there was one."""
        async with self._connections() as conn:
            return (await conn.execute(_SQL["remove"], {"hash": hash_})).rowcount == 1
