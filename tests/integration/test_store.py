"""The store on a real PostgreSQL keeps the same contract as its twin in memory."""

from collections.abc import AsyncIterator

import pytest

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import StoreConformance


class TestPostgresStore(StoreConformance):
    @pytest.fixture
    async def store(self, database: PostgresDatabase) -> AsyncIterator[Database]:
        async with open_database(Dsn.parse(database.dsn), application_name="test", max_size=8) as opened:
            yield opened
