"""A counter outside: what nodes did, in a table that no part of the system knows, and what was saved at that moment."""

from collections import Counter
from typing import Any

from tests.faults.bed import Bed
from tests.support.postgres import PostgresDatabase

# `saved`: the last super-step of the thread that was saved for good when the node acted.
_TABLE = """
CREATE TABLE effects (
    n bigserial PRIMARY KEY, thread_id text NOT NULL, step integer NOT NULL, what text NOT NULL, saved integer,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION note_saved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT max((metadata ->> 'step')::integer) INTO NEW.saved FROM checkpoints
    WHERE thread_id = NEW.thread_id AND checkpoint_ns = '';
    RETURN NEW;
END
$$;
CREATE TRIGGER note_saved BEFORE INSERT ON effects FOR EACH ROW EXECUTE FUNCTION note_saved();
"""


def make_counter(database: PostgresDatabase) -> None:
    database.execute(_TABLE)


async def define_counted(bed: Bed, **spec: Any) -> str:
    """Register the graph whose nodes count outside, with the counter."""
    make_counter(bed.database)
    env = [{"name": "COUNTER_DSN", "value": bed.database.dsn}]
    return await bed.define("counted", env=env, **spec)


def find_repeated(database: PostgresDatabase) -> list[tuple[str, int, str]]:
    """Return what was done in a super-step that was saved already: nothing, ever."""
    rows = database.execute("SELECT thread_id, step, what FROM effects WHERE saved >= step ORDER BY n")
    return [(thread, step, what) for thread, step, what in rows]


def count_started(database: PostgresDatabase) -> Counter[tuple[str, int]]:
    """Return how often each super-step of each thread began to act."""
    rows = database.execute("SELECT thread_id, step FROM effects WHERE what IN ('start', 'answered')")
    return Counter((thread, step) for thread, step in rows)
