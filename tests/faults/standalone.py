"""A test bed outside of pytest, for benchmarks: a control plane, PostgreSQL, a namespace and an operator of its own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from hack.cluster.controlplane import ControlPlane
from tests.faults.bed import Bed, open_bed
from tests.faults.conftest import FAULT_PLANE, install
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import start_server


@asynccontextmanager
async def open_standalone_bed() -> AsyncIterator[Bed]:
    """Start everything that a bed stands on, and end it with the block."""
    with tempfile.TemporaryDirectory() as name, start_server() as server:
        folder = Path(name)
        await migrate.up(Dsn.parse(server.dsn("postgres")))
        with ControlPlane(folder / "plane", **FAULT_PLANE) as plane:
            await asyncio.to_thread(install, plane)
            (folder / "bed").mkdir()
            database = PostgresDatabase(server, "postgres")
            async with open_bed(plane, database, folder / "bed", "bench", is_shown=False) as bed:
                yield bed
