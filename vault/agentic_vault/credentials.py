"""From the fields of a secret to a connection string that libpq reads back as exactly those fields."""

import re
from collections.abc import Mapping
from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from agentic_core.errors import PermanentError
from agentic_store.dsn import Dsn
from agentic_vault.errors import ExitCode, Missing

# Field of the secret, and libpq's name of it.
REQUIRED: Final[Mapping[str, str]] = {
    "host": "host",
    "port": "port",
    "database": "dbname",
    "username": "user",
    "password": "password",
}
OPTIONAL: Final[Mapping[str, str]] = {"sslmode": "sslmode", "sslrootcert": "sslrootcert"}
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def build_dsn(fields: Mapping[str, object], path: str) -> Dsn:
    """Return the connection string; raise ``Missing`` that names the field, and never quotes a value."""
    absent = [name for name in REQUIRED if fields.get(name) in (None, "")]
    if absent:
        there = ", ".join(sorted(map(repr, fields))) or "none"
        example = " ".join(f"{name}=…" for name in absent)
        raise Missing(
            ExitCode.BAD_SECRET,
            f"the secret {path!r} lacks {_quoted(absent)}; its fields are {there}: add with `vault kv patch {path} "
            f"{example}`",
        )
    wanted = {**REQUIRED, **{name: key for name, key in OPTIONAL.items() if fields.get(name) not in (None, "")}}
    values = {key: _read(fields[name], name, path) for name, key in wanted.items()}
    _check_ports(values["port"], path)
    if values.get("sslmode", "prefer") not in SSL_MODES:
        raise _bad("sslmode", path, f"is none of {', '.join(SSL_MODES)}")
    try:
        return Dsn(make_conninfo(**values))
    except (ProgrammingError, PermanentError):
        # libpq's message may quote a piece of the password.
        raise Missing(
            ExitCode.BAD_SECRET, f"the fields of the secret {path!r} make no connection string: correct them"
        ) from None


def _read(value: object, name: str, path: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _bad(name, path, "is no text")
    text = str(value)
    if text.endswith(("\n", "\r")):
        raise _bad(name, path, "ends with a line break: write it without, as with `printf %s` instead of `echo`")
    if _CONTROL.search(text):
        raise _bad(name, path, "holds a control character")
    return text


def _check_ports(text: str, path: str) -> None:
    # One for each host, where there are several.
    for port in text.split(","):
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise _bad("port", path, "is no number from 1 to 65535")


def _bad(name: str, path: str, why: str) -> Missing:
    return Missing(
        ExitCode.BAD_SECRET, f"the field {name!r} of the secret {path!r} {why}: correct it with `vault kv patch`"
    )


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))
