"""Connections that nothing but their connection string shapes."""

import asyncio
import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from agentic_core.errors import PermanentError
from agentic_store.dsn import Dsn
from agentic_store.libpq import isolate, shield

# Nothing listens there, and nothing has to: libpq settles its parameters before it connects.
GIVEN = "host=127.0.0.1 port=1 dbname=d user=u"
VARIABLES = sorted({option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar})
HIDDEN = ("PGSERVICE", "PGTZ", "PGDATESTYLE", "PGGEQO")


def parameters(conninfo: str) -> dict[bytes, bytes | None]:
    conn = pq.PGconn.connect_start(conninfo.encode())
    try:
        # What is refused before anything is sent would be a variable's doing.
        assert b"invalid" not in conn.error_message
        return {option.keyword: option.val for option in conn.info}
    finally:
        conn.finish()


@pytest.fixture(autouse=True, scope="module")
def no_variables() -> Iterator[None]:
    with patch.dict(os.environ):
        for name in (*VARIABLES, *HIDDEN):
            os.environ.pop(name, None)
        yield


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from([name for name in VARIABLES if name != "PGSERVICE"]),
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
        | st.sampled_from(
            ["disable", "verify-full", "require", "0", "-1", "-c work_mem=1MB", "1.2.3.4", "/x", "read-write"]
        ),
    )
)
def test_no_variable_of_libpq_changes_a_parameter_of_an_isolated_connection(variables: dict[str, str]) -> None:
    expected = parameters(isolate(GIVEN))
    with patch.dict(os.environ, variables):
        assert parameters(isolate(GIVEN)) == expected


def test_what_the_string_gives_stands_and_what_it_leaves_out_is_libpqs_own() -> None:
    found = conninfo_to_dict(isolate(f"{GIVEN} sslmode=verify-full options='-c search_path=x'"))
    assert (found["sslmode"], found["options"], found["host"]) == ("verify-full", "-c search_path=x", "127.0.0.1")
    plain = conninfo_to_dict(isolate(GIVEN))
    assert (plain["sslmode"], plain["target_session_attrs"], plain["application_name"]) == ("prefer", "any", "")


def test_an_isolated_string_has_to_name_its_user() -> None:
    with patch.dict(os.environ, PGUSER="somebody"), pytest.raises(PermanentError, match="names no user"):
        Dsn.parse("postgresql://h/d", is_isolated=True)
    assert Dsn.parse("postgresql://h/d").conninfo


def test_what_no_parameter_replaces_is_out_of_sight_while_it_connects_and_there_for_all_others() -> None:
    seen: dict[str, list[str | None]] = {"connecting": [], "others": []}
    gate = asyncio.Event()

    async def connect() -> str:
        for _ in range(3):
            seen["connecting"].append(os.environ.get("PGTZ"))
            await gate.wait()
            await asyncio.sleep(0)
        return "connected"

    async def other() -> None:
        seen["others"].append(os.environ.get("PGTZ"))
        gate.set()
        await asyncio.sleep(0)
        seen["others"].append(os.environ.get("PGTZ"))

    async def main() -> str:
        async def shielded() -> str:
            return await shield(connect())

        made, _ = await asyncio.gather(shielded(), other())
        return made

    with patch.dict(os.environ, PGTZ="Mars/Base"):
        assert asyncio.run(main()) == "connected"
        assert os.environ["PGTZ"] == "Mars/Base"
    assert seen == {"connecting": [None] * 3, "others": ["Mars/Base"] * 2}


def test_a_connection_that_is_given_up_or_fails_leaves_the_environment_as_it_was() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ConnectionError

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            assert "PGSERVICE" not in os.environ

    async def main() -> None:
        async def shielded(what: object) -> None:
            await shield(what)  # type: ignore[arg-type]  # a coroutine

        with pytest.raises(ConnectionError):
            await shielded(fail())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await shielded(hang())

    with patch.dict(os.environ, PGSERVICE="theirs"):
        asyncio.run(main())
        assert os.environ["PGSERVICE"] == "theirs"
