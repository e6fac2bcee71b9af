"""Where the connection string comes from, and that its password stays inside."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from agentic_core.errors import PermanentError
from agentic_store.dsn import Dsn, read_dsn

AWKWARD = "p@ss/w%rd#1?:x"


@pytest.mark.parametrize(
    ("text", "password"),
    [
        pytest.param("postgresql://u:p%40ss%2Fw%25rd%231%3F%3Ax@h:5432/d", AWKWARD, id="percent-encoded URI"),
        pytest.param(f"postgresql://u:{AWKWARD}@h:5432/d", AWKWARD, id="URI with the password pasted as it is"),
        pytest.param(f"postgres://u:{AWKWARD}@h/d?sslmode=require", AWKWARD, id="the other scheme, with an option"),
        pytest.param(f"host=h dbname=d user=u password='{AWKWARD}'", AWKWARD, id="key=value"),
        pytest.param("postgresql://u:a%20b@h/d", "a b", id="an encoded space"),
        pytest.param("postgresql://u:plain@h/d\n", "plain", id="a line end, as files have it"),
        pytest.param("postgresql://u@h/d", None, id="no password"),
        pytest.param("postgresql://h:5432/d?application_name=a@b", None, id="an @ in an option is no password"),
        pytest.param("postgresql://[::1]:5432/d", None, id="an IPv6 address"),
        pytest.param("postgresql://u:p@h1:1,h2:2/d?target_session_attrs=read-write", "p", id="two hosts"),
    ],
)
def test_the_password_is_found_however_it_is_written(text: str, password: str | None) -> None:
    assert conninfo_to_dict(Dsn.parse(text).conninfo).get("password") == password


@pytest.mark.parametrize(
    "text", ["postgresql://u:secret@h:54x2/d?bad", "secret", "host=h password='secret", "postgresql://u:secret@h/%zz"]
)
def test_what_cannot_be_read_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(PermanentError, match="cannot be read") as refused:
        Dsn.parse(text)

    assert "secret" not in str(refused.value)


def test_its_text_forms_leave_the_password_out() -> None:
    dsn = Dsn.parse(f"postgresql://u:{AWKWARD}@h:5433/d")

    assert str(dsn) == repr(dsn) == "Dsn(u@h:5433/d)"
    assert f"{dsn.describe()}" == "u@h:5433/d"


def test_every_form_of_the_password_is_redacted() -> None:
    dsn = Dsn.parse(f"postgresql://u:{AWKWARD}@h/d")

    assert dsn.redact(f"{AWKWARD} p%40ss%2Fw%25rd%231%3F%3Ax") == "******** ********"
    assert Dsn.parse("postgresql://u@h/d").redact("nothing to hide") == "nothing to hide"


def test_the_first_source_that_is_set_wins(tmp_path: Path) -> None:
    option, variable = tmp_path / "option", tmp_path / "variable"
    option.write_text("postgresql://option/d")
    variable.write_text("postgresql://file/d")
    environ = {"PGHOST": "libpq"}

    assert read_dsn(environ).host == "libpq"
    environ["POSTGRES_CONNECTION_STRING"] = "postgresql://plain/d"
    assert read_dsn(environ).host == "plain"
    environ["POSTGRES_CONNECTION_STRING_FILE"] = str(variable)
    assert read_dsn(environ).host == "file"
    assert read_dsn(environ, file=option).host == "option"


def test_libpqs_variables_are_described_and_redacted_too() -> None:
    dsn = read_dsn({"PGHOST": "h", "PGPORT": "6000", "PGUSER": "u", "PGDATABASE": "d", "PGPASSWORD": AWKWARD})

    assert dsn.describe() == "u@h:6000/d"
    assert dsn.redact(AWKWARD) == "********"


def test_nothing_set_names_what_to_set() -> None:
    with pytest.raises(PermanentError, match="set POSTGRES_CONNECTION_STRING_FILE"):
        read_dsn({})


def test_a_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")

    with pytest.raises(PermanentError, match=r"missing': No such file"):
        read_dsn({}, file=tmp_path / "missing")
    with pytest.raises(PermanentError, match=r"empty' is empty"):
        read_dsn({}, file=tmp_path / "empty")
