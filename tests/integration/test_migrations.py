"""The migrations on a real server: what they make, that they can be repeated, undone, and meet the library's own."""

import asyncio
import subprocess
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore
from psycopg.rows import dict_row

from agentic_core.errors import PermanentError, SchemaMismatch
from agentic_core.lifecycle import Phase
from agentic_store.connect import connect
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from agentic_store.schema_migrations.migration_files import discover, find_directory
from agentic_store.schema_migrations.schema import SCHEMA_VERSION, check_schema, require_schema
from tests.support.catalog import describe_checkpoint_tables, describe_tables
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS

NEXT = discover()[-1].version + 1


def dsn_of(database: PostgresDatabase) -> Dsn:
    return Dsn.parse(database.dsn)


def apply_with_psql(database: PostgresDatabase, *files: str) -> None:
    for file in files:
        command = [
            "psql",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            database.dsn,
            "-f",
            str(find_directory({}) / file),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


async def run_library_setup(database: PostgresDatabase) -> None:
    async with AsyncPostgresSaver.from_conn_string(database.dsn) as saver:
        await saver.setup()
    async with AsyncPostgresStore.from_conn_string(database.dsn) as store:
        await store.setup()


async def test_the_checkpoint_tables_are_exactly_those_of_the_installed_library(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    await run_library_setup(empty_database)

    ours, theirs = describe_checkpoint_tables(database), describe_checkpoint_tables(empty_database)

    assert ours == theirs
    versions = "SELECT array_agg(v ORDER BY v) FROM {}"
    for table in ("checkpoint_migrations", "store_migrations"):
        query = versions.format(table)
        assert database.execute(query) == empty_database.execute(query)


async def test_the_librarys_setup_after_ours_changes_nothing(database: PostgresDatabase) -> None:
    before = describe_tables(database)

    await run_library_setup(database)

    assert describe_tables(database) == before


async def test_ours_after_the_librarys_setup_adds_only_what_is_ours(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    await run_library_setup(empty_database)

    await migrate.up(dsn_of(empty_database))

    assert describe_tables(empty_database) == describe_tables(database)


async def test_tables_of_an_older_library_are_brought_up_to_date(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    older = AsyncPostgresSaver.MIGRATIONS[:-1]
    for version, statement in enumerate(older):
        empty_database.execute(statement)
        empty_database.execute(f"INSERT INTO checkpoint_migrations VALUES ({version})")

    await migrate.up(dsn_of(empty_database))

    assert describe_checkpoint_tables(empty_database) == describe_checkpoint_tables(database)


async def test_large_columns_are_compressed_with_lz4_where_the_server_has_it(database: PostgresDatabase) -> None:
    rows = database.execute(
        "SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute WHERE attcompression = 'l' ORDER BY 1"
    )

    large = [
        "checkpoint_blobs.blob",
        "checkpoint_writes.blob",
        "checkpoints.checkpoint",
        "checkpoints.metadata",
        "session_turns.input",
        "session_turns.output",
        "store.value",
        "workflow_sessions.input_data",
        "workflow_sessions.output_data",
    ]
    assert [name for (name,) in rows] == (large if database.has_lz4() else [])


# As a server that was built without lz4 answers; it sees a statement inside of a block in the stack alone.
WITHOUT_LZ4 = """
CREATE FUNCTION refuse_lz4() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    stack text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF stack LIKE '%SET COMPRESSION lz4%' THEN
        RAISE feature_not_supported USING MESSAGE = 'compression method lz4 not supported';
    END IF;
END
$$;
CREATE EVENT TRIGGER without_lz4 ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION refuse_lz4();
"""


async def test_a_server_without_lz4_is_migrated_with_a_warning(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    empty_database.execute(WITHOUT_LZ4)
    said: list[str] = []

    await migrate.up(dsn_of(empty_database), report=said.append)

    assert "WARNING: this server cannot compress with lz4: large checkpoints are slower to write" in said
    assert empty_database.execute("SELECT count(*) FROM pg_attribute WHERE attcompression = 'l'") == [(0,)]
    assert describe_tables(empty_database) == describe_tables(database)


async def test_applying_again_does_nothing_and_says_so(database: PostgresDatabase) -> None:
    before = database.execute("SELECT * FROM agentic_migrations ORDER BY version")
    said: list[str] = []

    applied = await migrate.up(dsn_of(database), report=said.append)

    assert applied == []
    assert said[1:] == [
        f"checking what is applied: version {SCHEMA_VERSION} of {SCHEMA_VERSION}",
        f"already applied: database is at version {SCHEMA_VERSION}",
    ]
    assert database.execute("SELECT * FROM agentic_migrations ORDER BY version") == before


async def test_each_file_can_be_repeated_by_hand(database: PostgresDatabase) -> None:
    before = describe_tables(database)

    apply_with_psql(database, *(migration.file_name for migration in discover()))

    assert describe_tables(database) == before


async def test_files_applied_by_hand_are_recorded_by_the_next_up(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    apply_with_psql(empty_database, *(migration.file_name for migration in discover()))

    await migrate.up(dsn_of(empty_database))

    assert describe_tables(empty_database) == describe_tables(database)
    assert (await migrate.fetch_status(dsn_of(empty_database))).pending == ()


async def test_down_to_nothing_leaves_no_table_and_can_be_repeated(database: PostgresDatabase) -> None:
    undone = await migrate.down(dsn_of(database), to=0, confirm=database.name)
    again = await migrate.down(dsn_of(database), to=0, confirm=database.name)

    assert [migration.version for migration in undone] == list(range(SCHEMA_VERSION, 0, -1))
    assert again == []
    assert describe_tables(database).keys() == {"agentic_migrations"}
    assert database.execute("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == [(0,)]
    apply_with_psql(database, *(migration.down_script.file_name for migration in reversed(discover())))


async def test_up_down_and_up_again_ends_where_it_began(database: PostgresDatabase) -> None:
    before = describe_tables(database)

    for version in range(SCHEMA_VERSION - 1, -1, -1):
        await migrate.down(dsn_of(database), to=version, confirm=database.name)
    for version in range(1, SCHEMA_VERSION + 1):
        await migrate.up(dsn_of(database), to=version)

    assert describe_tables(database) == before


async def test_down_wants_the_name_of_the_database(database: PostgresDatabase) -> None:
    with pytest.raises(PermanentError, match=f"'production' is not the name of this database: .* {database.name}"):
        await migrate.down(dsn_of(database), to=0, confirm="production")

    assert "checkpoints" in describe_tables(database)


def copy_migrations(target: Path) -> Path:
    for path in find_directory({}).glob("*.sql"):
        (target / path.name).write_text(path.read_text())
    return target


async def test_a_file_changed_after_it_was_applied_is_refused_by_name(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    changed = copy_migrations(tmp_path) / "002_sessions.up.sql"
    changed.write_text(changed.read_text() + "-- an afterthought\n")

    with pytest.raises(PermanentError, match=r"'002_sessions\.up\.sql' was changed after it was applied"):
        await migrate.up(dsn_of(database), directory=tmp_path)


async def test_a_failing_migration_is_rolled_back_whole_and_named(
    empty_database: PostgresDatabase, tmp_path: Path
) -> None:
    copy_migrations(tmp_path)
    (tmp_path / f"{NEXT:03}_broken.up.sql").write_text(
        "CREATE TABLE half (v int);\nALTER TABLE missing ADD COLUMN v int;\n"
    )
    (tmp_path / f"{NEXT:03}_broken.down.sql").write_text("-- WARNING: nothing\nDROP TABLE IF EXISTS half;\n")

    with pytest.raises(PermanentError, match=rf"'{NEXT:03}_broken\.up\.sql' failed and was rolled back: .*missing"):
        await migrate.up(dsn_of(empty_database), directory=tmp_path)

    assert "half" not in describe_tables(empty_database)
    assert (await migrate.fetch_status(dsn_of(empty_database))).version == SCHEMA_VERSION


async def test_eight_at_once_on_a_fresh_database_all_succeed_and_apply_once(empty_database: PostgresDatabase) -> None:
    applied = await asyncio.gather(*(migrate.up(dsn_of(empty_database)) for _ in range(8)))

    assert sorted(len(one) for one in applied) == [0] * 7 + [SCHEMA_VERSION]
    assert empty_database.execute("SELECT count(*) FROM agentic_migrations") == [(SCHEMA_VERSION,)]


async def test_a_waiting_migration_says_who_holds_the_lock(database: PostgresDatabase) -> None:
    said: list[str] = []
    waits = asyncio.Event()

    def report(line: str) -> None:
        said.append(line)
        if "waiting" in line:
            waits.set()

    with psycopg.connect(database.dsn, autocommit=True, application_name="the first one") as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (migrate._LOCK_KEY,))
        second = asyncio.create_task(migrate.up(dsn_of(database), report=report))
        await asyncio.wait_for(waits.wait(), PATIENCE_SECONDS)
    await second

    assert any("waiting for another migration to finish: the first one (process" in line for line in said)


async def test_versions_are_compared_without_any_right_to_change_the_schema(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    async with await connect(dsn_of(empty_database), application_name="test") as conn:
        unmigrated = await check_schema(conn)
    await migrate.up(dsn_of(empty_database), to=1)
    async with await connect(dsn_of(empty_database), application_name="test") as conn:
        half = await check_schema(conn)
    async with await connect(dsn_of(database), application_name="test") as conn:
        current = await require_schema(conn, checkpoint_version=len(AsyncPostgresSaver.MIGRATIONS) - 1)
        with pytest.raises(SchemaMismatch, match=r"checkpoint tables are at version 9, .* wants 10"):
            await require_schema(conn, checkpoint_version=10)

    wanted = f"this program wants {SCHEMA_VERSION}: run `agentic migrate up`"
    assert unmigrated.describe() == f"database is at version 0, {wanted}"
    assert half.describe() == f"database is at version 1, {wanted}"
    assert current.is_current


@pytest.mark.parametrize("is_breaking", [False, True])
async def test_a_later_migration_serves_this_program_until_it_says_otherwise(
    database: PostgresDatabase, is_breaking: bool
) -> None:
    default = "ALTER TABLE agentic_migrations ALTER COLUMN oldest_program SET DEFAULT"
    up = f"{default} {NEXT};" if is_breaking else "SELECT 1;"
    database.execute(up)
    database.execute(f"INSERT INTO agentic_migrations (version, name, checksum) VALUES ({NEXT}, 'later', 'x')")

    async with await connect(dsn_of(database), application_name="test") as conn:
        if not is_breaking:
            assert (await require_schema(conn)).describe() == f"database is at version {NEXT}"
            return
        said = f"wants {SCHEMA_VERSION}, and {NEXT} is the oldest that works there: upgrade"
        with pytest.raises(SchemaMismatch, match=said):
            await require_schema(conn)
        database.execute(f"{default} 13")
        database.execute(f"DELETE FROM agentic_migrations WHERE version = {NEXT}")
        assert (await require_schema(conn)).is_current


async def test_a_database_migrated_too_far_is_not_touched(database: PostgresDatabase) -> None:
    database.execute(f"INSERT INTO agentic_migrations VALUES ({NEXT}, 'later', '')")

    with pytest.raises(SchemaMismatch, match=f"database is at version {NEXT}, this program knows {SCHEMA_VERSION}"):
        await migrate.up(dsn_of(database))
    with pytest.raises(SchemaMismatch, match="run the newer program"):
        await migrate.down(dsn_of(database), to=0, confirm=database.name)


async def test_the_status_check_knows_every_phase_and_nothing_else(database: PostgresDatabase) -> None:
    insert = (
        "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, status, thread_id,"
        " completed_at) VALUES (%s, 'p', %s, 'w', %s, 't', %s)"
    )

    for phase in Phase:
        database.execute(insert, (phase.value, phase.value, phase.wire, "2026-01-01" if phase.is_final else None))

    with pytest.raises(psycopg.errors.CheckViolation, match="status_check"):
        database.execute(insert, ("u", "n", "nonsense", None))
    with pytest.raises(psycopg.errors.CheckViolation, match="completed_check"):
        database.execute(insert, ("u", "n", "completed", None))


async def test_the_list_of_a_project_needs_no_sort(database: PostgresDatabase) -> None:
    database.execute(
        "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, thread_id, created_at)"
        " SELECT 'u' || i, 'p' || i % 20, 's' || i, 'w', 't' || i, now() - i * interval '1 s'"
        " FROM generate_series(1, 20000) AS i"
    )
    database.execute("ANALYZE workflow_sessions")

    plan = database.execute(
        "EXPLAIN SELECT session_name FROM workflow_sessions WHERE project_name = 'p7'"
        " AND (created_at, session_name) < (now(), 's1') ORDER BY created_at DESC, session_name DESC LIMIT 100"
    )

    text = "\n".join(line for (line,) in plan)
    assert "workflow_sessions_list_idx" in text
    assert "Sort" not in text


async def test_a_saver_works_on_the_migrated_tables(database: PostgresDatabase) -> None:
    async with await psycopg.AsyncConnection.connect(
        database.dsn, autocommit=True, row_factory=dict_row, prepare_threshold=0
    ) as conn:
        saver = AsyncPostgresSaver(conn)
        assert [found async for found in saver.alist(None)] == []
