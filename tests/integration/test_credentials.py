"""Connection strings in files that change: a Secret that was rotated, a file that a sidecar writes again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentic_core.errors import DatabaseUnavailable
from agentic_store.database import open_database
from agentic_store.dsn import read_dsn
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record

LOGIN = "rotated_operator"


def rewrite(file: Path, database: PostgresDatabase, password: str | None) -> None:
    """Write the file with another password, or take it away."""
    file.unlink(missing_ok=True)
    if password is not None:
        file.write_text(database.server.dsn(database.name, user=LOGIN, password=password))


@pytest.fixture
def file(database: PostgresDatabase, tmp_path: Path) -> Iterator[Path]:
    """The file of a login whose password is `first`."""
    database.execute(f"CREATE ROLE {LOGIN} LOGIN PASSWORD 'first' IN ROLE agentic_operator")
    made = tmp_path / "dsn"
    rewrite(made, database, "first")
    yield made
    database.execute(f"DROP ROLE {LOGIN}")


def change_password(database: PostgresDatabase, password: str) -> None:
    """Change the login's password and end what is connected with the old one."""
    database.execute(f"ALTER ROLE {LOGIN} PASSWORD '{password}'")
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [LOGIN])


async def test_a_changed_password_is_used_by_the_next_connection(database: PostgresDatabase, file: Path) -> None:
    async with open_database(read_dsn({}, file=file), application_name="test", min_size=2) as store:
        await store.sessions.record_session(a_record())
        rewrite(file, database, "second")
        change_password(database, "second")
        assert await store.sessions.find("team", "report") is not None


async def test_a_file_that_follows_later_ends_the_outage(database: PostgresDatabase, file: Path) -> None:
    async with open_database(
        read_dsn({}, file=file), application_name="test", operation_seconds=1, timeout_seconds=5
    ) as store:
        await store.sessions.record_session(a_record())
        change_password(database, "second")
        with pytest.raises(DatabaseUnavailable):
            await store.sessions.find("team", "report")
        # The kubelet puts files in place by renaming; one that is away for a moment is no reason to end.
        rewrite(file, database, None)
        with pytest.raises(DatabaseUnavailable):
            await store.sessions.find("team", "report")
        rewrite(file, database, "second")
        for _ in range(20):
            try:
                assert await store.sessions.find("team", "report") is not None
            except DatabaseUnavailable:
                continue
            return
        pytest.fail("the new password is not used")
