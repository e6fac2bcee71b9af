"""What is made of a secret's fields, and every way in which they can be wrong."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from agentic_store.dsn import Dsn
from agentic_vault.credentials import build_dsn
from agentic_vault.errors import ExitCode, Missing

FIELDS = {"host": "db", "port": "5432", "database": "agentic", "username": "me", "password": "canary"}


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in FIELDS.items() if key != name}


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), min_size=1))
def test_every_password_is_read_back_as_it_was(password: str) -> None:
    dsn = build_dsn({**FIELDS, "password": password}, "kv/x")
    assert conninfo_to_dict(Dsn.parse(dsn.conninfo).conninfo)["password"] == password


def test_all_fields_reach_libpq() -> None:
    dsn = build_dsn({**FIELDS, "port": 5433, "sslmode": "verify-full", "sslrootcert": "system", "other": 1}, "kv/x")
    assert conninfo_to_dict(dsn.conninfo) == {
        "host": "db",
        "port": "5433",
        "dbname": "agentic",
        "user": "me",
        "password": "canary",
        "sslmode": "verify-full",
        "sslrootcert": "system",
    }


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_named_with_what_to_do(name: str) -> None:
    with pytest.raises(Missing, match=f"lacks {name!r}.*vault kv patch kv/x {name}=") as caught:
        build_dsn(without(name), "kv/x")
    assert caught.value.code == ExitCode.BAD_SECRET
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"port": "many"}, "'port'.*no number", id="a port that is none"),
        pytest.param({"port": "70000"}, "'port'.*no number", id="a port out of range"),
        pytest.param({"sslmode": "yes"}, "'sslmode'.*none of", id="a mode that libpq does not know"),
        pytest.param({"password": "canary\n"}, "'password'.*line break", id="what echo wrote"),
        pytest.param({"password": "can\x00ary"}, "'password'.*control character", id="a control character"),
        pytest.param({"password": ["canary"]}, "'password'.*no text", id="a list"),
        pytest.param({"host": None}, "lacks 'host'", id="null"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_never_quoted(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Missing, match=said) as caught:
        build_dsn({**FIELDS, **fields}, "kv/x")
    assert "canary" not in str(caught.value)


def test_several_hosts_have_a_port_each() -> None:
    assert "port=5432,5433" in build_dsn({**FIELDS, "host": "a,b", "port": "5432,5433"}, "kv/x").conninfo
