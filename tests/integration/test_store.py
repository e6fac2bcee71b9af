"""The store on a real PostgreSQL keeps the same contract as its twin in memory."""

import json
from collections.abc import AsyncIterator

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import Json
from agentic_store.results.output import encode_output
from agentic_store.searches import contains
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer
from tests.support.store_conformance import StoreConformance

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=30,
)


def test_whatever_is_encoded_postgresql_takes(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:

        @given(VALUES)
        @settings(max_examples=200)
        def stored(value: object) -> None:
            encoded = encode_output(value)
            row = conn.execute("SELECT %s::jsonb::text", (encoded.text,)).fetchone()
            assert row is not None
            # As numbers: PostgreSQL writes 1e22 as an integer of 23 digits.
            assert json.loads(row[0], parse_int=float) == json.loads(encoded.text, parse_int=float)

        stored()


# Numbers without the places after the decimal point that binary floats cannot hold.
SMALL = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, 0.5, -0.0, "", "a", "1", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def test_what_contains_what_is_the_same_in_memory_as_in_postgresql(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:

        @given(
            st.dictionaries(st.sampled_from("abc"), SMALL), st.dictionaries(st.sampled_from("abc"), SMALL, max_size=2)
        )
        @settings(max_examples=300)
        def compare(value: dict[str, Json], part: dict[str, Json]) -> None:
            row = conn.execute("SELECT %s::jsonb @> %s::jsonb", (json.dumps(value), json.dumps(part))).fetchone()
            assert row == (contains(value, part),)

        compare()


class TestPostgresStore(StoreConformance):
    @pytest.fixture
    async def store(self, database: PostgresDatabase) -> AsyncIterator[Database]:
        async with open_database(Dsn.parse(database.dsn), application_name="test", max_size=8) as opened:
            yield opened
