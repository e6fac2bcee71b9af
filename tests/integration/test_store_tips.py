"""Where a thread ends, and what follows a checkpoint that is not there."""

import psycopg
import pytest

from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.errors import CheckpointsLost, translate
from agentic_store.thread_end import ThreadEnd, find_tip
from tests.support.postgres import PostgresDatabase

_INSERT = (
    "INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)"
    " VALUES (%s, %s, %s, %s, '{}', jsonb_build_object('step', %s::int))"
)


async def read_tip(database: PostgresDatabase, thread: str, known: str | None = None) -> ThreadEnd:
    async with open_database(Dsn.parse(database.dsn), application_name="tests") as store:
        return await find_tip(store.pool, thread, known=known)


async def test_the_end_of_a_thread_is_its_own_last_checkpoint_and_the_newest_of_all(database: PostgresDatabase) -> None:
    assert await read_tip(database, "t") == ThreadEnd(None, None, None, has_known=True)
    assert await read_tip(database, "t", "c1") == ThreadEnd(None, None, None, has_known=False)
    for namespace, checkpoint, parent, step in (
        ("", "c1", None, -1),
        ("", "c2", "c1", 0),
        ("sub:1", "c3", None, -1),
        ("sub:1", "c4", "c3", 0),
    ):
        database.execute(_INSERT, ["t", namespace, checkpoint, parent, step])
    database.execute(_INSERT, ["other", "", "c9", None, 7])
    assert await read_tip(database, "t", "c1") == ThreadEnd("c4", "c2", 0, has_known=True)
    # A subgraph's is none that a status ever told of.
    assert await read_tip(database, "t", "c4") == ThreadEnd("c4", "c2", 0, has_known=False)


@pytest.mark.parametrize(("thread", "namespace"), [("t", ""), ("t", "sub:1"), ("other", "sub:1")])
def test_a_checkpoint_whose_parent_is_missing_is_refused(
    database: PostgresDatabase, thread: str, namespace: str
) -> None:
    database.execute(_INSERT, ["t", "sub:2", "c1", None, -1])
    with pytest.raises(psycopg.Error) as refused:
        database.execute(_INSERT, [thread, namespace, "c2", "c1", 0])
    assert isinstance(translate(refused.value), CheckpointsLost)
    assert "has lost checkpoint c1" in str(refused.value)


def test_a_whole_thread_is_written_by_one_statement_in_any_order(database: PostgresDatabase) -> None:
    database.execute(
        "INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint)"
        " VALUES ('t', '', 'c2', 'c1', 'json', '{}'), ('t', '', 'c1', NULL, 'json', '{}')"
    )
    assert database.execute("SELECT count(*) FROM checkpoints") == [(2,)]
