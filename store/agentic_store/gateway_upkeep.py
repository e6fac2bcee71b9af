"""Removes what gateways kept for a while: every replica may do so at any time."""

from typing import Final

from agentic_store.pool import Connections
from agentic_store.statements import load_statements

_SQL: Final = load_statements("gateway")


async def remove_expired(connections: Connections) -> int:
    """Remove tickets, log-ins, answers to repeated requests and interest that are over; return how many rows."""
    async with connections() as conn:
        row = await (await conn.execute(_SQL["remove_expired"])).fetchone()
    return int(row["removed"]) if row is not None else 0
