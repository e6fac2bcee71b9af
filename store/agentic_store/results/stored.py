"""Results as the database has them: their very text, measured at once and read in pieces.

A result is never parsed here: ``jsonb`` keeps numbers that no other part could, and a reader gets each digit.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row, scalar_row

from agentic_core.errors import TransientError
from agentic_store.pool import Connections
from agentic_store.searches import can_exist
from agentic_store.statements import load_statements

_SQL: Final = load_statements("results")
# Each takes the server's spelling of the whole once more.
PIECE: Final = 4 * 1024 * 1024


@dataclass(frozen=True)
class ResultText:
    """How long a result's text is, in bytes of UTF-8, and the SHA-256 of them."""

    size: int
    sha256: str


class StoredResults:
    """Results of sessions and of turns; a session or turn that did not complete has none."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def measure(self, session_uid: str, turn: int | None = None) -> ResultText | None:
        """Return size and digest of a session's result, or of one of its turns; None if there is none."""
        if not can_exist(session_uid):
            return None
        statement = "measure_session" if turn is None else "measure_turn"
        async with self._connections() as conn, conn.cursor(row_factory=class_row(ResultText)) as cursor:
            await cursor.execute(_SQL[statement], {"session_uid": session_uid, "number": turn})
            return await cursor.fetchone()

    async def read(self, session_uid: str, turn: int | None = None, *, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes of a result from ``start`` up to and without ``stop``, a piece at a time.

        Each piece is a statement of its own: whoever takes them slowly holds no connection and no snapshot meanwhile.
        Raises ``TransientError`` where the result is gone before its end.
        """
        statement = "read_session" if turn is None else "read_turn"
        while start < stop:
            length = min(PIECE, stop - start)
            params = {"session_uid": session_uid, "number": turn, "start": start, "length": length}
            async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
                await cursor.execute(_SQL[statement], params)
                piece = await cursor.fetchone()
            if piece is None or len(piece) != length:
                raise TransientError(f"the result of session {session_uid!r} has changed while it was read")
            yield bytes(piece)
            start += length
