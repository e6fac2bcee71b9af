"""``gateway_tickets`` in PostgreSQL: tickets that somebody made and nobody has used yet."""

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from agentic_store.pool import Connections
from agentic_store.statements import load_statements

_SQL: Final = load_statements("gateway_tickets")


@dataclass(frozen=True)
class Ticket:
    """A ticket's row; ``sealed`` is sealed with a key that only its holder has."""

    hash: bytes
    username: str
    namespace: str
    session_name: str
    session_uid: str
    channel: str
    sealed: bytes


class PostgresTickets:
    """Tickets, each taken once."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add(self, ticket: Ticket, *, seconds: float) -> None:
        """Keep a ticket for so long, by the database's clock."""
        params = {
            "hash": ticket.hash,
            "username": ticket.username,
            "namespace": ticket.namespace,
            "session_name": ticket.session_name,
            "session_uid": ticket.session_uid,
            "channel": ticket.channel,
            "sealed": ticket.sealed,
            "seconds": seconds,
        }
        async with self._connections() as conn:
            await conn.execute(_SQL["add"], params)

    async def take(self, hash_: bytes) -> Ticket | None:
        """Remove a ticket and return it; None if there is none, where it was taken, or where its time is over."""
        async with self._connections() as conn, conn.cursor(row_factory=class_row(Ticket)) as cursor:
            return await (await cursor.execute(_SQL["take"], {"hash": hash_})).fetchone()
