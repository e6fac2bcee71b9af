"""Which sessions somebody watches, as the database knows it: writers notify for these alone."""

from collections.abc import Collection
from typing import Final

from agentic_store.pool import Connections
from agentic_store.signals import hint_for
from agentic_store.statements import load_statements

INTEREST_SECONDS: Final = 60
"""How long a session counts as watched since that was said last."""

_SQL: Final = load_statements("events")


class PostgresInterest:
    """States that sessions are watched."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def state(self, session_uids: Collection[str]) -> None:
        """Say that somebody watches these sessions, for the next minute."""
        if not session_uids:
            return
        # In one order, so that replicas that do so at once do not wait for each other in a circle.
        hints = sorted({hint_for(uid) for uid in session_uids})
        async with self._connections() as conn:
            await conn.execute(_SQL["state_interest"], {"hints": hints, "seconds": INTEREST_SECONDS})
