"""A migrated database is verified by the script and by the command alike, and what is wrong with one is named."""

import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from agentic_store.schema_migrations.migration_files import VERIFICATION, discover, find_directory
from agentic_store.schema_migrations.schema import SCHEMA_VERSION
from tests.support import expected_schema
from tests.support.catalog import describe_tables
from tests.support.commands import ROOT, clean_environment, run_agentic
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import wait_until
from tests.support.waiting import PATIENCE_SECONDS

SCRIPTS = ROOT / "migrations"
PASSWORD = "p@ss /w%rd#1?:x\\'"
ENCODED = "p%40ss%20%2Fw%25rd%231%3F%3Ax%5C%27"


def pg_variables(database: PostgresDatabase, **changes: str) -> dict[str, str]:
    variables = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(database.server.port),
        "PGDATABASE": database.name,
        "PGUSER": "postgres",
        "PGPASSWORD": "unused",
    }
    return clean_environment(**{name: value for name, value in (variables | changes).items() if value})


def run_script(
    name: str, *arguments: str, env: dict[str, str], folder: Path = SCRIPTS
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(folder / name), *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def test_what_is_expected_is_exactly_what_the_migrations_make(database: PostgresDatabase) -> None:
    text = (SCRIPTS / VERIFICATION).read_text(encoding="utf-8")

    assert text == expected_schema.build(database.dsn), (
        "the migrations make another schema than migrations/verification.sql expects: "
        "run `.venv/bin/python -m tests.support.expected_schema` and `make generate`, and commit both files"
    )


def test_script_and_command_pass_all_seven_checks_with_the_same_words(database: PostgresDatabase) -> None:
    database.execute(
        "INSERT INTO store (prefix, key, value) SELECT 'p', i::text, '{}' FROM generate_series(1, 42) AS i"
    )

    script = run_script("verify_migration.sh", env=pg_variables(database))
    command = run_agentic("migrate", "verify", env=pg_variables(database))

    assert (script.returncode, script.stderr) == (0, "")
    assert (command.returncode, command.stderr) == (0, "")
    assert script.stdout == command.stdout
    lines = script.stdout.splitlines()
    assert [line.split()[0] for line in lines[:7]] == ["PASS"] * 7
    assert lines[-1] == "7 of 7 checks passed"
    tables = [
        name
        for (name,) in database.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
        )
    ]
    expected = []
    for table in tables:
        ((rows, size, pretty),) = database.execute(
            f"SELECT count(*), pg_total_relation_size('{table}'), pg_size_pretty(pg_total_relation_size('{table}'))"
            f" FROM {table}"
        )
        expected.append([table, str(rows), str(size), *pretty.split()])
    begin = next(number for number, line in enumerate(lines) if line.startswith("TABLE "))
    assert [line.split() for line in lines[begin + 1 : begin + 1 + len(tables)]] == expected
    assert dict(each[:2] for each in expected)["store"] == "42"


DEFECTS = [
    pytest.param("DROP TABLE session_events", "tables", "session_events is missing", id="a table is missing"),
    pytest.param(
        "ALTER TABLE store ALTER COLUMN key TYPE varchar(10)",
        "columns",
        "store: key text not null is missing (found: key character varying(10) not null)",
        id="a column is of another type",
    ),
    pytest.param(
        "ALTER TABLE checkpoint_writes ALTER COLUMN task_path DROP DEFAULT",
        "columns",
        "checkpoint_writes: task_path text not null default ''::text is missing (found: task_path text not null)",
        id="a default is lost",
    ),
    pytest.param(
        "ALTER TABLE workflow_sessions ALTER COLUMN status SET DEFAULT 'running'",
        "columns",
        "workflow_sessions: status text not null default 'pending'::text is missing"
        " (found: status text not null default 'running'::text)",
        id="a default is another one",
    ),
    pytest.param(
        "ALTER TABLE workflow_sessions ALTER COLUMN workflow_version DROP EXPRESSION",
        "columns",
        "workflow_sessions: workflow_version text generated as input_data ->> 'workflow_version'::text is missing",
        id="a generated column is not generated",
    ),
    pytest.param(
        "ALTER TABLE checkpoint_blobs DROP CONSTRAINT checkpoint_blobs_pkey",
        "primary keys",
        "checkpoint_blobs: PRIMARY KEY (thread_id, checkpoint_ns, channel, version) is missing",
        id="a primary key is missing",
    ),
    pytest.param(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'checkpoints_thread_id_idx'::regclass",
        "indexes",
        "INDEX checkpoints_thread_id_idx ON checkpoints USING btree (thread_id) is invalid: its build was interrupted",
        id="an index was not built to its end",
    ),
    pytest.param(
        "ALTER TABLE checkpoint_writes DISABLE TRIGGER agentic_fence",
        "rules",
        "checkpoint_writes: trigger agentic_fence calls agentic_check_fence is disabled",
        id="the fence is switched off",
    ),
    pytest.param(
        "ALTER TABLE workflow_sessions DROP CONSTRAINT workflow_sessions_status_check",
        "rules",
        "workflow_sessions: workflow_sessions_status_check CHECK",
        id="a status may be anything",
    ),
    pytest.param(
        "DELETE FROM checkpoint_migrations WHERE v = 9",
        "versions",
        "checkpoint_migrations v of 9 is missing (found: v of 8)",
        id="the library's version is missing",
    ),
    pytest.param(
        "DELETE FROM agentic_migrations WHERE version = 2",
        "versions",
        f"agentic_migrations version of {SCHEMA_VERSION} has gaps before it",
        id="a migration was left out",
    ),
    pytest.param(
        "UPDATE agentic_migrations SET checksum = 'x' WHERE version = 2",
        "versions",
        "002_sessions.up.sql was changed after it was applied",
        id="another file was applied",
    ),
    pytest.param(
        f"INSERT INTO agentic_migrations VALUES ({SCHEMA_VERSION + 1}, 'later', '')",
        "versions",
        f"agentic_migrations is newer: version of {SCHEMA_VERSION + 1}",
        id="it was migrated too far",
    ),
]


@pytest.mark.parametrize(("defect", "check", "said"), DEFECTS)
def test_a_planted_defect_is_found_and_named_by_both(
    database: PostgresDatabase, defect: str, check: str, said: str
) -> None:
    database.execute(defect)

    script = run_script("verify_migration.sh", env=pg_variables(database))
    command = run_agentic("migrate", "verify", "-o", "json", env=pg_variables(database))

    assert (script.returncode, command.returncode) == (1, 1), script.stderr + command.stderr
    failed = [line for line in script.stdout.splitlines() if line.startswith("FAIL")]
    assert any(check in line and said in line for line in failed), script.stdout
    by_command = [one for one in json.loads(command.stdout)["checks"] if not one["passed"]]
    assert [f"FAIL  {one['number']}  {one['title']:<12}  {one['detail']}" for one in by_command] == failed


def test_tables_of_one_column_without_keys_or_versions_do_not_pass(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    for table in describe_tables(database):
        empty_database.execute(f"CREATE TABLE {table} (thread_id text)")

    script = run_script("verify_migration.sh", env=pg_variables(empty_database))

    assert script.returncode == 1
    assert [line.split()[0] for line in script.stdout.splitlines()[:7]] == ["PASS", "PASS", *["FAIL"] * 5]


def test_up_says_each_step_in_order_and_nothing_else(empty_database: PostgresDatabase) -> None:
    first = run_agentic("migrate", "up", env=pg_variables(empty_database))
    again = run_agentic("migrate", "up", env=pg_variables(empty_database))

    place = f"postgres@127.0.0.1:{empty_database.server.port}/{empty_database.name}"
    (major,) = empty_database.execute("SELECT current_setting('server_version_num')::int / 10000")[0]
    begin = [f"==> migrating {place}", f"==> connected to PostgreSQL {major}"]
    end = [
        "==> verifying tables, columns, keys, indexes, rules and versions",
        "==> verified: all 7 checks passed",
    ]
    applied = [f"==> applying {migration.version:03} {migration.name}" for migration in discover()]
    if not empty_database.has_lz4():
        applied.insert(1, "==> WARNING: this server cannot compress with lz4: large checkpoints are slower to write")
    assert first.stderr.splitlines() == [
        *begin,
        f"==> checking what is applied: version 0 of {SCHEMA_VERSION}",
        *applied,
        *end,
        f"==> done: database is at version {SCHEMA_VERSION}",
    ]
    assert again.stderr.splitlines() == [
        *begin,
        f"==> checking what is applied: version {SCHEMA_VERSION} of {SCHEMA_VERSION}",
        f"==> already applied: database is at version {SCHEMA_VERSION}",
        *end,
    ]


def test_up_fails_where_a_table_is_gone_that_was_applied(database: PostgresDatabase) -> None:
    database.execute("DROP TABLE checkpoint_writes")

    done = run_agentic("migrate", "up", env=pg_variables(database))

    assert done.returncode == 1
    assert "the database is not what the migrations make: tables: checkpoint_writes is missing;" in done.stderr


@pytest.fixture
def owner(empty_database: PostgresDatabase) -> Iterator[str]:
    """A login role with an awkward password that owns the database's schema."""
    name = f"verifier_{os.getpid()}"
    quoted = PASSWORD.replace("'", "''")
    empty_database.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{quoted}'")
    empty_database.execute(f"GRANT ALL ON SCHEMA public TO {name}")
    yield name
    empty_database.execute(f"DROP OWNED BY {name}")
    empty_database.execute(f"DROP ROLE {name}")


def test_psql_alone_applies_records_and_verifies_with_variables_and_strings(
    empty_database: PostgresDatabase, owner: str
) -> None:
    place = f"127.0.0.1:{empty_database.server.port}/{empty_database.name}"
    quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    pairs = f"host=127.0.0.1 port={empty_database.server.port} dbname={empty_database.name} user={owner}"
    by_variables = pg_variables(empty_database, PGUSER=owner, PGPASSWORD=PASSWORD)

    first = run_script("apply.sh", env=by_variables)
    again = run_script("apply.sh", f"postgresql://{owner}:{ENCODED}@{place}", env=clean_environment())
    command = run_agentic("migrate", "up", env=by_variables)

    assert first.returncode == 0, first.stderr
    applied = [f"==> applying {one.version:03} {one.name}" for one in discover()]
    done = f"database is at version {SCHEMA_VERSION}"
    assert first.stdout.splitlines()[1:] == [*applied, f"==> done: {done}"]
    assert again.stdout.splitlines()[1:] == [f"==> already applied: {done}"], again.stderr
    assert command.returncode == 0, command.stderr
    assert f"==> already applied: {done}" in command.stderr
    for string in (
        f"postgresql://{owner}:{ENCODED}@{place}",
        f"postgresql://{owner}:{PASSWORD}@{place}",
        f"{pairs} password='{quoted}'",
    ):
        verified = run_script("verify_migration.sh", string, env=clean_environment())
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert PASSWORD not in verified.stdout + verified.stderr
    in_environment = clean_environment(POSTGRES_CONNECTION_STRING=f"{pairs} password='{quoted}'")
    assert run_script("verify_migration.sh", env=in_environment).returncode == 0


RECORDING_PSQL = """#!/bin/sh
tr '\\0' '\\n' < /proc/self/environ > "$RECORDS/environment.$$"
tr '\\0' '\\n' < /proc/$$/cmdline > "$RECORDS/command.$$"
[ -n "${PGPASSFILE:-}" ] && stat -c %a "$PGPASSFILE" > "$RECORDS/mode.$$"
exec "$PSQL" "$@"
"""


@pytest.mark.parametrize("script", ["verify_migration.sh", "apply.sh"])
@pytest.mark.parametrize("given", ["variables", "argument", "variable with a URI", "variable with pairs", "file"])
def test_psql_has_the_password_in_a_file_that_goes_with_the_script(
    database: PostgresDatabase, tmp_path: Path, script: str, given: str
) -> None:
    server = database.server
    uri = f"postgresql://postgres:{ENCODED}@127.0.0.1:{server.port}/{database.name}"
    pairs = f"host=127.0.0.1 port={server.port} dbname={database.name} user=postgres password={ENCODED}"
    records, temporary, commands = (tmp_path / name for name in ("records", "temporary", "commands"))
    for folder in (records, temporary, commands):
        folder.mkdir()
    psql = shutil.which("psql")
    assert psql is not None
    (commands / "psql").write_text(RECORDING_PSQL)
    (commands / "psql").chmod(0o755)
    (tmp_path / "dsn").write_text(uri)
    env = {
        "variables": pg_variables(database, PGPASSWORD=PASSWORD),
        "argument": clean_environment(),
        "variable with a URI": clean_environment(POSTGRES_CONNECTION_STRING=uri),
        "variable with pairs": clean_environment(POSTGRES_CONNECTION_STRING=pairs),
        "file": clean_environment(POSTGRES_CONNECTION_STRING_FILE=str(tmp_path / "dsn")),
    }[given]
    env |= {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PSQL": psql,
        "RECORDS": str(records),
        "TMPDIR": str(temporary),
    }

    done = run_script(script, *([uri] if given == "argument" else []), env=env)

    assert done.returncode == 0, done.stdout + done.stderr
    seen = [path.read_text() for path in records.iterdir()]
    assert any("PGPASSFILE=" in text for text in seen)
    assert [text for text in seen if PASSWORD in text or ENCODED in text or "PGPASSWORD" in text] == []
    assert {path.read_text() for path in records.glob("mode.*")} == {"600\n"}
    assert list(temporary.iterdir()) == []


def test_no_password_is_printed_where_there_is_no_connection(empty_database: PostgresDatabase, owner: str) -> None:
    place = f"127.0.0.1:{empty_database.server.port}/{empty_database.name}"
    for string in (
        f"postgresql://{owner}:wrong{ENCODED}@{place}",
        f"postgresql://{owner}:{ENCODED}@127.0.0.1:{empty_database.server.port}/nowhere",
        f"postgresql://{owner}:{ENCODED}@127.0.0.1:1/nowhere",
        f"host=127.0.0.1 port=99999999 user={owner} password={ENCODED}",
    ):
        for script in ("verify_migration.sh", "apply.sh"):
            done = run_script(script, string, env=clean_environment())
            said = done.stdout + done.stderr
            assert done.returncode == 20, said
            assert len(said.splitlines()) == 1, said
            assert ENCODED not in said, said
            assert PASSWORD not in said, said


@pytest.mark.parametrize("variable", ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"])
@pytest.mark.parametrize("script", ["verify_migration.sh", "apply.sh"])
def test_a_variable_that_is_not_set_is_named(database: PostgresDatabase, script: str, variable: str) -> None:
    done = run_script(script, env=pg_variables(database, **{variable: ""}))

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {variable} is not set: ")


def test_psql_alone_refuses_a_changed_file_and_leaves_nothing_of_a_broken_one(
    empty_database: PostgresDatabase, tmp_path: Path
) -> None:
    for path in find_directory({}).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / f"{SCHEMA_VERSION + 1:03}_broken.up.sql"
    broken.write_text("CREATE TABLE half (v int);\nALTER TABLE missing ADD COLUMN v int;\n")

    failed = run_script("apply.sh", env=pg_variables(empty_database), folder=tmp_path)

    assert failed.returncode == 1
    assert 'relation "missing" does not exist' in failed.stderr
    assert "half" not in describe_tables(empty_database)
    changed = tmp_path / "002_sessions.up.sql"
    changed.write_text(changed.read_text() + "-- an afterthought\n")

    refused = run_script("apply.sh", env=pg_variables(empty_database), folder=tmp_path)

    assert refused.returncode == 1
    assert refused.stderr == "error: 002_sessions.up.sql was changed after it was applied: restore the file\n"


def read_migration_container() -> dict[str, Any]:
    """Return the container of the Job that migrates, as it is delivered."""
    (job,) = yaml.safe_load_all((ROOT / "manifests/migrate/job.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = job["spec"]["template"]["spec"]["containers"][0]
    return found


def test_the_jobs_process_has_no_password_in_its_environment_and_uses_a_rotated_one(
    empty_database: PostgresDatabase, owner: str, tmp_path: Path
) -> None:
    """Run the Job's command with the Job's environment; its Secret is a file here as there."""
    container = read_migration_container()
    dsn = tmp_path / "dsn"
    given = {"POSTGRES_CONNECTION_STRING_FILE": str(dsn), "AGENTIC_MIGRATIONS_DIR": str(SCRIPTS)}
    assert {entry["name"] for entry in container["env"]} == set(given)
    assert all("valueFrom" not in entry for entry in container["env"])
    command = [sys.executable, "-m", "agentic_cli", *container["command"][1:], *container["args"]]
    assert container["command"][0] == "agentic"
    # Where nobody listens, it waits.
    dsn.write_text(f"postgresql://{owner}:{ENCODED}@127.0.0.1:1/{empty_database.name}")
    with subprocess.Popen(command, env=clean_environment(**given), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = [next(process.stderr), next(process.stderr)]
        shown = Path(f"/proc/{process.pid}/environ").read_text() + Path(f"/proc/{process.pid}/cmdline").read_text()
        process.terminate()
        said += list(process.stderr)
    assert "waiting for the database" in said[1]
    assert str(dsn) in shown
    assert [text for text in (shown, *said) if PASSWORD in text or ENCODED in text] == []

    place = f"127.0.0.1:{empty_database.server.port}/{empty_database.name}"
    for password in (ENCODED, "rotated"):
        empty_database.execute(f"ALTER ROLE {owner} PASSWORD '{unquote(password).replace(chr(39), chr(39) * 2)}'")
        dsn.write_text(f"postgresql://{owner}:{password}@{place}")
        done = subprocess.run(
            command,
            env=clean_environment(**given),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr
    assert f"==> already applied: database is at version {SCHEMA_VERSION}" in done.stderr
    dsn.write_text(f"postgresql://{owner}:{ENCODED}@{place}")
    refused = run_agentic("migrate", "up", env=clean_environment(**given))
    assert refused.returncode == 1
    assert "password authentication failed" in refused.stderr
    assert PASSWORD not in refused.stderr


OTHERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def test_psql_alone_killed_at_random_files_converges(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    command, env = ["sh", str(SCRIPTS / "apply.sh")], pg_variables(empty_database)
    begun: set[str] = set()
    for _ in range(6):
        with subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        ) as process:
            assert process.stdout is not None
            applying = (line for line in process.stdout if line.startswith("==> applying"))
            for _ in range(draw.randint(1, 3)):
                begun.add(next(applying, ""))
            # Somewhere in that file.
            time.sleep(draw.uniform(0, 0.03))
            os.killpg(process.pid, signal.SIGKILL)
        wait_until(lambda: empty_database.execute(OTHERS) == [(0,)], what="the end of what was killed")
        # Without a gap: a file and its record are one transaction.
        ((count, newest),) = empty_database.execute("SELECT count(*), max(version) FROM agentic_migrations")
        assert count == (newest or 0)

    done = run_script("apply.sh", env=env)

    assert done.returncode == 0, done.stderr
    assert len(begun) > 3
    assert describe_tables(empty_database) == describe_tables(database)
    assert run_script("verify_migration.sh", env=env).returncode == 0


def read_from_terminal(command: list[str], env: dict[str, str]) -> str:
    """Run a command whose standard output is a terminal; return what it wrote there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=env, stdout=theirs, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(theirs)
    read = b""
    try:
        while part := os.read(ours, 65536):
            read += part
    except OSError:
        # How Linux says that nobody has the other side any more.
        pass
    finally:
        os.close(ours)
    process.wait(timeout=PATIENCE_SECONDS)
    return read.decode()


def test_colours_are_for_terminals_and_never_with_no_color(database: PostgresDatabase) -> None:
    env = pg_variables(database) | {"TERM": "xterm"}
    commands = (
        ["sh", str(SCRIPTS / "verify_migration.sh")],
        [sys.executable, "-m", "agentic_cli", "migrate", "verify"],
    )
    for command in commands:
        assert "\x1b[32mPASS\x1b[0m" in read_from_terminal(command, env)
        assert "\x1b" not in read_from_terminal(command, env | {"NO_COLOR": "1"})
