"""The checkpoint library's tables, of the oldest and the newest version that is supported, compared by catalog."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from hack.cluster.folders import cache_folder
from tests.support.catalog import describe_checkpoint_tables, describe_tables
from tests.support.commands import ROOT, clean_environment
from tests.support.postgres import PostgresDatabase

LIBRARY: Final = "langgraph-checkpoint-postgres"
# The oldest whose databases are brought up to date, and the newest that was compared.
OLDEST: Final = "3.0.0"
NEWEST: Final = "3.2.0"
WHAT_TO_DO: Final = f"""
{{}}

What to do with a new version of {LIBRARY}:
1. Set NEWEST in {Path(__file__).name} to it and run this file.
2. Where its tables differ from ours, write a migration that makes its new MIGRATIONS (safe to repeat, indexes in a file
   of their own that runs outside a transaction), and that records their numbers in checkpoint_migrations or
   store_migrations. Do not edit a migration that was released.
3. Run `.venv/bin/python -m tests.support.expected_schema` and `make generate`; commit all of it with the new lock.
4. Compare its aput_writes, and its uses of _cursor(pipeline=True), with
   runner/agentic_runner/checkpoints/batching_saver.py, and the fields of a saver with what its copies share:
   tests/integration/test_runner_saving.py fails at a new one.
5. Where neither changed and its MIGRATIONS are as before, there is nothing else to do.
"""
SETUP = """
import asyncio, sys
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore

async def main(dsn):
    async with AsyncPostgresSaver.from_conn_string(dsn) as saver:
        await saver.setup()
    async with AsyncPostgresStore.from_conn_string(dsn) as store:
        await store.setup()

asyncio.run(main(sys.argv[1]))
"""


def library_at(wanted: str) -> Path:
    """Return a folder with the library at a version, fetched once."""
    folder = cache_folder() / "libraries" / f"{LIBRARY}-{wanted}"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        install = ["pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", str(unfinished)]
        subprocess.run([sys.executable, "-m", *install, f"{LIBRARY}=={wanted}"], check=True)
        unfinished.rename(folder)
    return folder


def set_up_by_library(database: PostgresDatabase, wanted: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SETUP, database.dsn],
        env=clean_environment(PYTHONPATH=str(library_at(wanted))),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_installed_library_is_the_newest_that_was_compared() -> None:
    installed = version(LIBRARY)

    assert installed == NEWEST, WHAT_TO_DO.format(f"{LIBRARY} {installed} is installed, {NEWEST} was compared last.")


def test_runners_may_use_no_library_that_was_not_compared() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest = re.search(rf"{LIBRARY}>=([\d.]+)", text)

    assert lowest is not None
    assert OLDEST.split(".") <= lowest[1].split(".") <= NEWEST.split(".")


@pytest.mark.parametrize("wanted", [OLDEST, NEWEST])
async def test_our_tables_are_those_of_the_library(
    database: PostgresDatabase, empty_database: PostgresDatabase, wanted: str
) -> None:
    set_up_by_library(empty_database, wanted)

    assert describe_checkpoint_tables(database) == describe_checkpoint_tables(empty_database), WHAT_TO_DO.format(
        f"The tables of {LIBRARY} {wanted} are not those that our migrations make."
    )
    for table in ("checkpoint_migrations", "store_migrations"):
        query = f"SELECT array_agg(v ORDER BY v) FROM {table}"
        assert database.execute(query) == empty_database.execute(query), WHAT_TO_DO.format(
            f"{LIBRARY} {wanted} records other versions in {table}."
        )


@pytest.mark.parametrize("wanted", [OLDEST, NEWEST])
async def test_either_librarys_setup_changes_nothing_of_ours_and_ours_completes_theirs(
    database: PostgresDatabase, empty_database: PostgresDatabase, wanted: str
) -> None:
    before = describe_tables(database)
    set_up_by_library(database, wanted)
    assert describe_tables(database) == before

    set_up_by_library(empty_database, wanted)
    await migrate.up(Dsn.parse(empty_database.dsn))
    assert describe_tables(empty_database) == before
