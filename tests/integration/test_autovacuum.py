"""Autovacuum comes to our tables early: by settings of each table, not of the server."""

import psycopg

from tests.support.postgres import PostgresDatabase, migrated_server
from tests.support.postgres_server import wait_until


def test_every_table_that_is_written_has_its_settings(database: PostgresDatabase) -> None:
    rows = database.execute(
        "SELECT relname, reloptions FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL AND relkind = 'r'"
    )
    settings = {table: dict(option.split("=", 1) for option in options) for table, options in rows}

    assert settings.keys() == {
        "workflow_sessions",
        "thread_fences",
        "checkpoints",
        "checkpoint_blobs",
        "checkpoint_writes",
        "session_events",
    }
    for options in settings.values():
        assert options["autovacuum_vacuum_scale_factor"] == "0.05"
        assert options["autovacuum_vacuum_cost_limit"] == "1000"
    assert settings["workflow_sessions"]["fillfactor"] == settings["thread_fences"]["fillfactor"] == "90"


def test_ten_thousand_updates_leave_less_than_a_fifth_of_the_rows_dead() -> None:
    with (
        migrated_server(autovacuum="on", autovacuum_naptime="1s") as server,
        psycopg.connect(server.dsn(), autocommit=True) as conn,
    ):
        conn.execute(
            "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, thread_id)"
            " SELECT 'u' || i, 'p', 's' || i, 'w', 't' || i FROM generate_series(1, 1000) AS i"
        )
        for run in range(1, 11):
            conn.execute("UPDATE workflow_sessions SET run = %s, updated_at = now()", (run,))

        def is_clean() -> bool:
            row = conn.execute(
                "SELECT n_tup_upd, n_dead_tup::float / greatest(n_live_tup + n_dead_tup, 1), autovacuum_count"
                " FROM pg_stat_user_tables WHERE relname = 'workflow_sessions'"
            ).fetchone()
            return row is not None and row[0] >= 10_000 and row[1] < 0.2 and row[2] > 0

        wait_until(is_clean, what="autovacuum to remove the dead rows")
