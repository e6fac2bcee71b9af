"""Connection strings as other drivers and consoles write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from agentic_core.errors import PermanentError
from agentic_store.dsn import Dsn

PLAIN = {"user": "u", "password": "secret", "host": "h", "dbname": "d"}


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("postgres://u:secret@h/d", {}),
        ("postgresql+psycopg://u:secret@h/d", {}),
        ("postgresql+asyncpg://u:secret@h:5433/d?ssl=require", {"port": "5433", "sslmode": "require"}),
        ("postgres+psycopg2://u:secret@h/d?sslmode=verify-full", {"sslmode": "verify-full"}),
        ("jdbc:postgresql://h:5432/d?user=u&password=secret&ssl=true", {"port": "5432", "sslmode": "require"}),
        ("jdbc:postgresql://h/d?user=u&password=secret&currentSchema=app", {"options": "-c search_path=app"}),
        ("jdbc:postgresql://h/d?user=u&password=secret&prepareThreshold=0&tcpKeepAlive=true", {}),
        ("postgresql://u:secret@h/d?schema=public&connection_limit=5&pgbouncer=true&pool_timeout=9", {}),
        ("postgresql://u:secret@h/d?schema=app&pgbouncer=true", {"options": "-c search_path=app"}),
        ("postgresql://u:secret@h/d?pool_size=5&max_overflow=2", {}),
        ("postgres://u:secret@h/d?pool_max_conns=10&statement_cache_capacity=0", {}),
        ("postgresql://u:secret@h/d?application_name=theirs", {}),
        ("  'postgresql://u:secret@h/d'\n", {}),
        ('"postgresql://u:secret@h/d"', {}),
        ("\ufeffpostgresql://u:secret@h/d\r\n", {}),
        ("DATABASE_URL=postgres://u:secret@h/d", {}),
        ('export DATABASE_URL="postgresql+psycopg://u:secret@h/d"', {}),
        ("psql 'postgresql://u:secret@h/d?sslmode=require&channel_binding=require'",
         {"sslmode": "require", "channel_binding": "require"}),
        ("host=h\n  dbname=d user=u\n  password=secret\n", {}),
    ],
)  # fmt: skip
def test_other_forms_of_the_same_address_are_understood(text: str, more: dict[str, str]) -> None:
    assert conninfo_to_dict(Dsn.parse(text).conninfo) == {**PLAIN, **more}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Host=h;Username=u;Password=secret;Database=d", "ADO.NET"),
        ("Server=h;Port=5432;User Id=u;Password=secret", "ADO.NET"),
        ('{"host": "h", "password": "secret"}', "is JSON"),
        ("production:\n  adapter: postgresql\n  password: secret", "is YAML"),
        ("host: h\npassword: secret", "is YAML"),
        ("mysql://u:secret@h/d", "'mysql'"),
        ("mongodb+srv://u:secret@h/d", "'mongodb'"),
        ("https://u:secret@h/d", "'https'"),
        ("cockroachdb://u:secret@h/d", "'cockroachdb'"),
        ("postgresql://postgres:[YOUR-PASSWORD]@db.example.com/postgres", "placeholder"),
        ("postgresql://u:<password>@h/d", "placeholder"),
        ("postgresql://u:secret@h/d?sslaccept=strict", "'sslaccept'"),
        ("postgresql://u:secret@h/d?ssl=secret", "'ssl'"),
        ("postgresql://u:secret@h/d?schema=se%20cret", "no schema"),
        ("postgresql://u:secret@h/d postgresql://u:secret@h2/d", "more than one part"),
        ("postgresql://u:secret@h/d?TimeZone=UTC", "'TimeZone'"),
    ],
)
def test_what_is_something_else_is_refused_for_what_it_is(text: str, said: str) -> None:
    with pytest.raises(PermanentError, match="PostgreSQL connection string") as refused:
        Dsn.parse(text)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("password", ["p+w", "a;b", "a?b=c", "x=y;z", "#1 best", "100%", "a&b", "'q'", "[x]", "{y}"])
def test_a_password_is_never_taken_for_something_else(password: str) -> None:
    for text in (f"postgresql+asyncpg://u:{password}@h/d?ssl=require", f"postgresql://u:{password}@h/d"):
        assert conninfo_to_dict(Dsn.parse(text).conninfo)["password"] == password
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    assert conninfo_to_dict(Dsn.parse(f"host=h user=u password='{quoted}'").conninfo)["password"] == password


@given(st.text(max_size=60))
def test_no_refusal_quotes_what_it_was_given(text: str) -> None:
    marked = f"postgresql://u:{text}hunter2{text}"
    said = ""
    try:
        Dsn.parse(marked)
    except PermanentError as refused:
        said = str(refused)
    assert "hunter2" not in said
