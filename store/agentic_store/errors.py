"""Psycopg's errors in the project's words: the one place that decides how the caller should react to each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolClosed

from agentic_core.errors import (
    AgenticError,
    Conflict,
    DatabaseUnavailable,
    OutputTooLarge,
    PermanentError,
    SchemaMismatch,
    Superseded,
    TransientError,
)

# Raised by the trigger of migration 002.
SUPERSEDED_SQLSTATE: Final = "AG001"
# Raised by the trigger of the migration `checkpoint_parents`.
LOST_SQLSTATE: Final = "AG002"
# Raised by the trigger of the migration `fence_required`.
UNFENCED_SQLSTATE: Final = "AG003"
# Raised by the trigger of the migration `turns`.
TURN_ENDED_SQLSTATE: Final = "AG005"
OUTPUT_SIZE_CONSTRAINTS: Final = ("workflow_sessions_output_size_check", "session_turns_output_size_check")
OUTPUT_TOO_LARGE: Final = "output data exceeds 100MB limit"


class UnstorableOutput(PermanentError):
    """A result cannot be written as JSON at all: it contains itself, or is nested too deep."""


class Unfenced(PermanentError):
    """The fence does not reach the server: something between changes the names of connections."""

    def __init__(self, said: str) -> None:
        self.said = said
        super().__init__(
            f"{said}: a connection pooler changes application_name, which says which run writes; let it keep the name "
            "(docs/clusters.md, Poolers), use its port for sessions, or connect to the server itself"
        )


class CheckpointsLost(DatabaseUnavailable):
    """The database lacks the parent of the next checkpoint: the run has to restart from the saved ones."""


def translate(error: BaseException) -> AgenticError | None:
    """Return the error class for a database error; None for other errors.

    Looks through causes, contexts and exception groups, because a failed checkpoint write comes out of a graph run
    wrapped. That the writer was superseded outweighs whatever else went wrong on the way.
    """
    found = [meaning for part in _walk(error) if (meaning := _translate_one(part)) is not None]
    for meaning in found:
        if isinstance(meaning, Superseded):
            return meaning
    return found[0] if found else None


@contextmanager
def translated() -> Iterator[None]:
    """Raise the translation of a database error, ``from`` the error itself; let all others pass."""
    try:
        yield
    except (psycopg.Error, PoolClosed) as error:
        meaning = translate(error)
        if meaning is None:
            raise
        raise meaning from error


def _walk(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        part = waiting.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, BaseExceptionGroup):
            waiting.extend(part.exceptions)
        waiting.extend(link for link in (part.__cause__, part.__context__) if link is not None)


def _translate_one(error: BaseException) -> AgenticError | None:
    if isinstance(error, AgenticError):
        return error
    if isinstance(error, PoolClosed):
        return DatabaseUnavailable("the connection pool is closed: the process is shutting down")
    if not isinstance(error, psycopg.Error):
        return None
    # The primary message only: the details may quote a row.
    said = error.diag.message_primary or str(error)
    if error.sqlstate in (SUPERSEDED_SQLSTATE, TURN_ENDED_SQLSTATE):
        return Superseded(said)
    if error.sqlstate == UNFENCED_SQLSTATE:
        return Unfenced(said)
    if error.sqlstate == LOST_SQLSTATE:
        return CheckpointsLost(said)
    match error:
        case pg.CheckViolation() if error.diag.constraint_name in OUTPUT_SIZE_CONSTRAINTS:
            return OutputTooLarge(OUTPUT_TOO_LARGE)
        case pg.ProgramLimitExceeded():
            return OutputTooLarge(f"{OUTPUT_TOO_LARGE}: {said}")
        case pg.SerializationFailure() | pg.DeadlockDetected() | pg.LockNotAvailable() | pg.QueryCanceled():
            return TransientError(f"the database could not finish in time: {said}")
        case pg.UndefinedTable() | pg.UndefinedColumn() | pg.UndefinedFunction():
            return SchemaMismatch(f"the database is not migrated: {said}: run `agentic migrate up`")
        case pg.InsufficientPrivilege():
            return PermanentError(
                f"the database role may not do this: {said}: make it a member of `agentic_operator` or `agentic_runner`"
            )
        case pg.ForeignKeyViolation() if error.diag.table_name == "store_vectors":
            return TransientError(f"an item of the long-term store was deleted while its vectors were written: {said}")
        case pg.ForeignKeyViolation():
            # The other keys of that kind lead from an event or a turn to its session.
            return Superseded(f"the session is gone, it was deleted or replaced: {said}")
        case pg.UniqueViolation():
            return Conflict(f"somebody else wrote the same row: {said}")
        # A standby after a failover: the pool finds the new primary.
        case psycopg.OperationalError() | psycopg.InterfaceError() | pg.ReadOnlySqlTransaction():
            return DatabaseUnavailable(f"the database is not available: {said.strip()}")
        case _:
            return PermanentError(f"the database refused the statement: {said}")
