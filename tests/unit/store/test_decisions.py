"""The pure decisions of the store: who may take a thread, which status may follow, what an error means."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors as pg
from psycopg_pool import PoolClosed, PoolTimeout

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
from agentic_core.lifecycle import TRANSITIONS, Phase
from agentic_store.errors import translate, translated
from agentic_store.fences import Take, decide_take
from agentic_store.records import Fence
from agentic_store.transitions import sources_of

CREATED = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER, LATER = CREATED - timedelta(hours=1), CREATED + timedelta(hours=1)
HELD = Fence("thread", "uid", epoch=7, run=2, failures=3, holder="pod", session_created_at=CREATED)


@pytest.mark.parametrize(
    ("known", "uid", "created_at", "run", "expected"),
    [
        pytest.param(None, "uid", CREATED, 1, Take(purge=False, failures=0), id="a thread that nobody wrote"),
        pytest.param(HELD, "uid", CREATED, 2, Take(purge=False, failures=3), id="the next pod of the same run"),
        pytest.param(HELD, "uid", CREATED, 3, Take(purge=False, failures=0), id="the next run"),
        pytest.param(HELD, "new", LATER, 1, Take(purge=True, failures=0), id="a later session of the same name"),
        pytest.param(HELD, "new", CREATED, 1, Take(purge=True, failures=0), id="one of the same second"),
        pytest.param(HELD, "new", None, 1, Take(purge=True, failures=0), id="one of unknown age"),
    ],
)
def test_a_fence_is_taken(known: Fence | None, uid: str, created_at: datetime | None, run: int, expected: Take) -> None:
    assert decide_take(known, uid, created_at, run) == expected


@pytest.mark.parametrize(
    ("uid", "created_at", "run", "message"),
    [
        pytest.param("uid", CREATED, 1, "run 2 has taken thread 'thread'", id="an earlier run"),
        pytest.param("old", EARLIER, 9, "belongs to session 'uid' now", id="a session that was replaced"),
    ],
)
def test_a_fence_is_refused(uid: str, created_at: datetime, run: int, message: str) -> None:
    with pytest.raises(Superseded, match=message):
        decide_take(HELD, uid, created_at, run)


@pytest.mark.parametrize("old", list(Phase))
@pytest.mark.parametrize("new", list(Phase))
def test_a_status_follows_another_exactly_where_the_lifecycle_leads_there(old: Phase, new: Phase) -> None:
    reached = {old}
    for _ in Phase:
        reached |= {target for phase in reached for target in TRANSITIONS[phase]}

    assert (old in sources_of(new)) is (new in reached and not old.is_final)


class Fencing(psycopg.DatabaseError):
    sqlstate = "AG001"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Fencing("superseded: thread"), Superseded),
        (pg.AdminShutdown("terminating connection"), DatabaseUnavailable),
        (pg.CannotConnectNow("starting up"), DatabaseUnavailable),
        (pg.TooManyConnections("too many clients"), DatabaseUnavailable),
        (pg.DiskFull("no space left"), DatabaseUnavailable),
        (pg.ReadOnlySqlTransaction("standby"), DatabaseUnavailable),
        (psycopg.OperationalError("the connection is lost"), DatabaseUnavailable),
        (psycopg.InterfaceError("the connection is closed"), DatabaseUnavailable),
        (PoolTimeout("no connection after 30 s"), DatabaseUnavailable),
        (PoolClosed("the pool is closed"), DatabaseUnavailable),
        (pg.DeadlockDetected("deadlock"), TransientError),
        (pg.LockNotAvailable("lock timeout"), TransientError),
        (pg.QueryCanceled("statement timeout"), TransientError),
        (pg.UndefinedTable("no relation"), SchemaMismatch),
        (pg.InsufficientPrivilege("permission denied"), PermanentError),
        (pg.UniqueViolation("duplicate key"), Conflict),
        (pg.ForeignKeyViolation("no such session"), Superseded),
        (pg.ProgramLimitExceeded("too long"), OutputTooLarge),
        (pg.SyntaxError("syntax error"), PermanentError),
        (Conflict("ours already"), Conflict),
    ],
    ids=lambda part: part.__name__ if isinstance(part, type) else type(part).__name__,
)
def test_every_error_of_the_database_has_a_meaning(error: Exception, expected: type[AgenticError]) -> None:
    assert type(translate(error)) is expected


def test_an_error_that_is_not_the_databases_has_none() -> None:
    assert translate(ValueError("of the graph")) is None


def test_an_error_is_found_behind_what_wraps_it() -> None:
    lost = psycopg.OperationalError("pipeline aborted")
    lost.__context__ = Fencing("superseded: thread")
    group = ExceptionGroup("tasks", [ValueError("of the graph"), lost])
    wrapped = RuntimeError("node failed")
    wrapped.__cause__ = group

    assert isinstance(translate(group), Superseded)
    assert isinstance(translate(wrapped), Superseded)
    assert isinstance(translate(ExceptionGroup("tasks", [psycopg.OperationalError("gone")])), DatabaseUnavailable)


def test_translated_keeps_the_original_as_the_cause_and_lets_others_pass() -> None:
    original = psycopg.OperationalError("gone")
    with pytest.raises(DatabaseUnavailable) as raised, translated():
        raise original
    assert raised.value.__cause__ is original

    with pytest.raises(ValueError, match="mine"), translated():
        raise ValueError("mine")
