"""The commands of ``docs/migrations.md`` do what the page shows that they do."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.commands import ROOT, clean_environment
from tests.support.guide import read_consoles, reads_like
from tests.support.postgres_server import PostgresServer, start_server
from tests.support.waiting import PATIENCE_SECONDS

# What the page leaves to its reader.
FILE, SERVER, PASSWORD = "/run/secrets/dsn", "postgres:5432", "PGPASSWORD=…"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server with an owner that is no superuser."""
    with start_server() as started:
        with psycopg.connect(started.dsn(), autocommit=True) as conn:
            conn.execute("CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'owned'")
        yield started


def run_block(commands: list[str], folder: Path) -> list[str]:
    """Run commands in one shell; return what each printed."""
    script = "".join(f"{command}\nprintf '\\0'\n" for command in commands)
    env = clean_environment()
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"cd {ROOT}\n{script}"],
        env=env | {"HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.split("\0")[:-1]


def test_each_command_of_the_guide_prints_what_the_guide_shows(server: PostgresServer, tmp_path: Path) -> None:
    dsn = tmp_path / "dsn"
    dsn.write_text(server.dsn("agentic", user="owner", password="owned"), encoding="utf-8")
    here = f"127.0.0.1:{server.port}"
    blocks = [block for block in read_consoles("migrations.md") if not any("kubectl" in text for text, _ in block)]
    assert len(blocks) == 3, "the page has other blocks than this test knows"

    for number, block in enumerate(blocks):
        if number < 2:
            # By `agentic`, then by `psql` alone: each begins with an empty database.
            with psycopg.connect(server.dsn(), autocommit=True) as conn:
                conn.execute("DROP DATABASE IF EXISTS agentic")
                conn.execute("CREATE DATABASE agentic OWNER owner")
        else:
            # The defect that the page shows.
            with psycopg.connect(server.dsn("agentic"), autocommit=True) as conn:
                conn.execute("ALTER TABLE checkpoints DISABLE TRIGGER agentic_fence")
        commands = [
            text.replace(FILE, str(dsn))
            .replace("PGHOST=postgres PGPORT=5432", f"PGHOST=127.0.0.1 PGPORT={server.port}")
            .replace(PASSWORD, "PGPASSWORD=owned")
            for text, _ in block
        ]
        if number == 2:
            commands = [f"POSTGRES_CONNECTION_STRING_FILE={dsn} {command}" for command in commands]

        printed = run_block(commands, tmp_path)

        assert len(printed) == len(block)
        for (text, shown), found in zip(block, printed, strict=True):
            # Debian's server says in brackets which package it is of.
            found = re.sub(r" \(.+\)$", "", found.replace(here, SERVER), flags=re.MULTILINE)
            # The page's server has lz4.
            found = re.sub(r"^.*WARNING: .* lz4: .*\n", "", found, flags=re.MULTILINE)
            assert reads_like(found, shown), "\n".join([f"$ {text}", *shown, "-- is shown, and printed:", found])
