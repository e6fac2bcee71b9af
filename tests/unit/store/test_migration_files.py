"""How the files of ``migrations/`` are found, numbered and paired."""

from pathlib import Path

import pytest

from agentic_core.errors import PermanentError
from agentic_core.lifecycle import Phase
from agentic_store.schema_migrations.migration_files import Script, discover, find_directory
from agentic_store.schema_migrations.schema import SCHEMA_VERSION


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("SELECT 1;\n")
    return folder


def test_the_programs_version_is_that_of_the_newest_file() -> None:
    assert [migration.version for migration in discover()] == list(range(1, SCHEMA_VERSION + 1))


def test_the_status_check_lists_exactly_the_phases() -> None:
    newest = [
        migration.up for migration in discover() if "ADD CONSTRAINT workflow_sessions_status_check" in migration.up
    ]
    check = newest[-1].partition("ADD CONSTRAINT workflow_sessions_status_check")[2]
    listed = check.partition("status IN (")[2].partition(")")[0]

    assert {word.strip(" '\n") for word in listed.split(",")} == {phase.wire for phase in Phase}


def test_the_variable_names_another_folder(tmp_path: Path) -> None:
    assert find_directory({"AGENTIC_MIGRATIONS_DIR": str(tmp_path)}) == tmp_path


def test_line_ends_do_not_change_a_checksum(tmp_path: Path) -> None:
    (before,) = discover(write(tmp_path, "001_a.up.sql", "001_a.down.sql"))
    (tmp_path / "001_a.up.sql").write_bytes(b"SELECT 1;\r\n")

    (after,) = discover(tmp_path)

    assert after.checksum == before.checksum


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param([], "no migrations in", id="an empty folder"),
        pytest.param(["001_a.up.sql"], r"001 has no \.down\.sql", id="no way back"),
        pytest.param(["002_b.up.sql", "002_b.down.sql"], r"001 has no \.up\.sql", id="a gap"),
        pytest.param(["1-a.sql"], r"'1-a\.sql' is not named like", id="another naming"),
        pytest.param(["001_a.up.sql", "001_b.up.sql"], "two migration files are numbered 001", id="one number twice"),
        pytest.param(["001_a.up.sql", "001_b.down.sql"], "named 'a' up and 'b' down", id="halves of two names"),
    ],
)
def test_a_folder_in_disorder_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        discover(write(tmp_path, *names))


def test_statements_end_at_semicolons_that_are_neither_quoted_nor_commented() -> None:
    text = """-- outside a transaction
-- not; here
CREATE INDEX CONCURRENTLY a ON b (c);

DO $$ BEGIN PERFORM 1; END $$;
DO $body$ BEGIN PERFORM '$$;'; END $body$;
SELECT 'it''s; quoted';
"""
    script = Script("001_a.up.sql", text)

    assert not script.is_transaction
    first, second, third, fourth = script.statements
    assert first.endswith("CREATE INDEX CONCURRENTLY a ON b (c)")
    assert second == "DO $$ BEGIN PERFORM 1; END $$"
    assert third == "DO $body$ BEGIN PERFORM '$$;'; END $body$"
    assert fourth == "SELECT 'it''s; quoted'"


def test_an_index_is_built_concurrently_outside_a_transaction_alone() -> None:
    for migration in discover():
        for script in (migration.up_script, migration.down_script):
            assert ("INDEX CONCURRENTLY" in script.text) != script.is_transaction, script.file_name


def test_what_undoing_deletes_is_said_in_the_first_lines() -> None:
    losses = {migration.name: migration.loss for migration in discover()}

    assert losses["checkpoints"].startswith("WARNING: deletes every checkpoint")
    assert all(losses.values())
    for migration in discover():
        if "DROP TABLE" in migration.down or "DROP COLUMN" in migration.down:
            assert migration.loss.startswith("WARNING: "), migration.name
