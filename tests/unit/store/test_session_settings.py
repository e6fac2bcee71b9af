"""What goes along with a connection's start, and what is done where that is refused."""

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from agentic_store.session_settings import STARTUP, connect_stating

REFUSALS = (
    'connection to server at "127.0.0.1", port 6432 failed: FATAL:  unsupported startup parameter: options',
    "FATAL:  Feature not supported: RDS Proxy currently doesn't support command-line options.",
)


async def test_what_we_state_comes_before_what_the_connection_string_says() -> None:
    tried: list[Mapping[str, Any]] = []

    async def open_connection(kwargs: Mapping[str, Any]) -> Any:
        tried.append(kwargs)

    await connect_stating(open_connection, "host=first options='-c search_path=app'", {"application_name": "x"})
    await connect_stating(open_connection, "host=second", {})
    assert [each["options"] for each in tried] == [f"{STARTUP} -c search_path=app", STARTUP]
    assert tried[0]["application_name"] == "x"


@pytest.mark.parametrize("said", REFUSALS)
async def test_a_pooler_that_refuses_is_connected_to_without_and_remembered(said: str) -> None:
    tried: list[bool] = []

    async def open_connection(kwargs: Mapping[str, Any]) -> Any:
        tried.append("options" in kwargs)
        if "options" in kwargs:
            raise psycopg.OperationalError(said)

    conninfo = f"host=pooler port={6432 + REFUSALS.index(said)}"
    await connect_stating(open_connection, conninfo, {})
    await connect_stating(open_connection, conninfo, {})
    assert tried == [True, False, False]


async def test_any_other_refusal_is_one() -> None:
    async def open_connection(_kwargs: Mapping[str, Any]) -> Any:
        raise psycopg.OperationalError("password authentication failed")

    with pytest.raises(psycopg.OperationalError, match="password"):
        await connect_stating(open_connection, "host=other", {})
