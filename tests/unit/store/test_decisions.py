"""The pure decisions of the store: who may take a thread, which status may follow, what an error means."""

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

HELD = Fence("thread", "uid", epoch=7, run=2, failures=3, holder="pod")


@pytest.mark.parametrize(
    ("known", "owner", "uid", "run", "expected"),
    [
        pytest.param(None, None, "uid", 1, Take(purge=False, failures=0), id="a thread that nobody wrote"),
        pytest.param(HELD, None, "uid", 2, Take(purge=False, failures=3), id="the next pod of the same run"),
        pytest.param(HELD, None, "uid", 3, Take(purge=False, failures=0), id="the next run"),
        pytest.param(HELD, None, "new", 1, Take(purge=True, failures=0), id="another session of the same name"),
        pytest.param(HELD, "uid", "uid", 2, Take(purge=False, failures=3), id="its own row"),
    ],
)
def test_a_fence_is_taken(known: Fence | None, owner: str | None, uid: str, run: int, expected: Take) -> None:
    assert decide_take(known, owner, uid, run) == expected


@pytest.mark.parametrize(
    ("known", "owner", "uid", "run", "message"),
    [
        pytest.param(HELD, None, "uid", 1, "run 2 has taken thread 'thread'", id="an earlier run"),
        pytest.param(HELD, "new", "uid", 2, "belongs to session 'new'", id="a replaced session that held it"),
        pytest.param(None, "new", "uid", 2, "session 'uid' was replaced", id="a replaced session, nobody holds it"),
    ],
)
def test_a_fence_is_refused(known: Fence | None, owner: str | None, uid: str, run: int, message: str) -> None:
    with pytest.raises(Superseded, match=message):
        decide_take(known, owner, uid, run)


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
