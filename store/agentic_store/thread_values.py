"""``thread_values``: what a session's output channels hold, for those who may read it; and those of its checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from agentic_store.pool import Connections
from agentic_store.statements import load_statements

MAX_STATE_BYTES: Final = 1024 * 1024

_SQL: Final = load_statements("thread_values")


@dataclass(frozen=True, kw_only=True)
class ThreadValues:
    """The output channels at one moment; ``state`` is their JSON, None if that is larger than 1 MiB."""

    run: int
    turn: int = 0
    checkpoint_id: str | None = None
    keeps_history: bool = False
    state: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeptValues(ThreadValues):
    """As they were stored, and when."""

    at: datetime


@dataclass(frozen=True)
class ChannelValue:
    """One channel of a checkpoint as it is stored; ``kind`` and ``content`` None if all of them are too large."""

    channel: str
    kind: str | None
    content: bytes | None


class PostgresThreadValues:
    """The rows of ``thread_values``."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def write(self, session_uid: str, values: ThreadValues, channels: Sequence[str]) -> None:
        """Replace what is known; ``channels`` are the names of those that a checkpoint may be asked for, too."""
        params = {
            "session_uid": session_uid,
            "run": values.run,
            "turn": values.turn,
            "checkpoint_id": values.checkpoint_id,
            "keeps_history": values.keeps_history,
            "channels": list(channels),
            "state": values.state,
        }
        async with self._connections() as conn:
            await conn.execute(_SQL["write"], params)

    async def withdraw(self, session_uid: str, run: int) -> None:
        """Keep nothing any more of what was to be read."""
        async with self._connections() as conn:
            await conn.execute(_SQL["withdraw"], {"session_uid": session_uid, "run": run})

    async def read(self, session_uid: str) -> KeptValues | None:
        """Return the newest values; None if none are kept."""
        async with self._connections() as conn, conn.cursor(row_factory=class_row(KeptValues)) as cursor:
            return await (await cursor.execute(_SQL["read"], {"session_uid": session_uid})).fetchone()

    async def read_checkpoint(self, namespace: str, session_uid: str, checkpoint_id: str) -> list[ChannelValue]:
        """Return what a checkpoint of a session with a history holds; nothing if there is none that may be read."""
        params = {
            "namespace": namespace,
            "session_uid": session_uid,
            "checkpoint_id": checkpoint_id,
            "most": MAX_STATE_BYTES,
        }
        async with self._connections() as conn, conn.cursor(row_factory=class_row(ChannelValue)) as cursor:
            return await (await cursor.execute(_SQL["read_checkpoint"], params)).fetchall()
