"""Connection strings as other drivers and consoles write them: understood where they can mean one thing only.

Whatever else is refused for what it is. No message quotes the string: any part of it may be a piece of a password.
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote

from agentic_core.errors import PermanentError

_REMEDY: Final = "write `postgresql://user:password@host:5432/db`"
_SCHEME: Final = re.compile(r"(?P<jdbc>jdbc:)?(?P<scheme>[A-Za-z][A-Za-z0-9]*)(?P<driver>\+[A-Za-z0-9_]+)?(?=://)")
_POSTGRES: Final = frozenset({"postgres", "postgresql"})
_ASSIGNMENT: Final = re.compile(r"(?:export\s+)?[A-Z][A-Z0-9_]*\s*=\s*(?=[\"']?(?:jdbc:)?postgres)")
_PLACEHOLDER: Final = re.compile(r"\[your-password\]|<(?:db_|your-)?password>", re.IGNORECASE)
_ADO: Final = re.compile(r"(?i)^\s*(?:host|server|data source|database|user(?:name| id)?|port)\s*=[^;=]*;\s*[\w ]+=")
_YAML: Final = re.compile(
    r"^\s*(?:---|adapter\s*:|[\w-]+\s*:\s*$|(?:host|database|username|password)\s*:\s)", re.MULTILINE
)
# Options of other drivers for pools, caches and statements: they do not affect the connection.
_MEANINGLESS: Final = frozenset(
    {
        "binary_parameters",
        "command_timeout",
        "connection_limit",
        "default_query_exec_mode",
        "description_cache_capacity",
        "logintimeout",
        "max_overflow",
        "pgbouncer",
        "pool_max_conn_idle_time",
        "pool_max_conn_lifetime",
        "pool_max_conns",
        "pool_min_conns",
        "pool_recycle",
        "pool_size",
        "pool_timeout",
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "preparethreshold",
        "socket_timeout",
        "sockettimeout",
        "statement_cache_capacity",
        "statement_cache_size",
        "tcpkeepalive",
    }
)
_SSL_MODES: Final = {
    "true": "require",
    "1": "require",
    "on": "require",
    "false": "disable",
    "0": "disable",
    "off": "disable",
    "no-verify": "require",
    **{mode: mode for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")},
}
# Known and not to be guessed at: what their owners mean by them differs from libpq.
_REFUSED: Final = frozenset({"sslaccept", "sslidentity", "sslpassword", "sslfactory", "timezone", "socketfactory"})


def understand(text: str) -> str:
    """Return the string as libpq writes it; raise ``PermanentError``, without quoting it, for anything else."""
    text = _unwrap(text)
    if _PLACEHOLDER.search(text):
        raise _refused("still holds a placeholder where the password belongs", "put the password in its place")
    if _YAML.search(text):
        raise _refused("is YAML", _REMEDY)
    if text[:1] in "{[":
        raise _refused("is JSON", _REMEDY)
    if _ADO.match(text):
        raise _refused("is one of ADO.NET or ODBC (`Host=…;Username=…`)", _REMEDY)
    found = _SCHEME.match(text)
    if found is None:
        return text
    if found["scheme"].lower() not in _POSTGRES:
        raise _refused(f"is an address of {found['scheme'][:20]!r}", f"PostgreSQL is needed: {_REMEDY}")
    if re.search(r"\n|\s\S*postgres\w*\S*://", text):
        raise _refused("has more than one part", "keep the address alone")
    return _translate_parameters(f"postgresql{text[found.end() :]}", is_jdbc=found["jdbc"] is not None)


def _refused(what: str, remedy: str) -> PermanentError:
    return PermanentError(f"the PostgreSQL connection string {what}: {remedy}")


def _unwrap(text: str) -> str:
    """Remove parts that were copied by mistake: white space, a variable's name, a command, quotes."""
    text = text.strip().removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").strip()
    if (assignment := _ASSIGNMENT.match(text)) is not None:
        text = text[assignment.end() :]
    if text.startswith("psql "):
        text = text.removeprefix("psql ").strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1].strip()
    return text


def _translate_parameters(uri: str, *, is_jdbc: bool) -> str:
    # The first question mark after the last "@": a pasted password may hold one. JDBC's have no credentials there.
    start = uri.find("?", 0 if is_jdbc else uri.rfind("@") + 1)
    if start < 0:
        return uri
    kept: dict[str, str] = {}
    for part in uri[start + 1 :].split("&"):
        name, _, value = part.partition("=")
        _TRANSLATORS.get(name.lower(), _keep)(kept, name, value)
    query = "&".join(f"{name}={value}" for name, value in kept.items())
    return f"{uri[:start]}?{query}" if query else uri[:start]


def _keep(kept: dict[str, str], name: str, value: str) -> None:
    if name.lower() in _MEANINGLESS or not name:
        return
    if name.lower() in _REFUSED:
        raise _refused(f"has the parameter {name!r} of another driver", "leave it out, or say what libpq has for it")
    kept[name] = value


def _take_ssl(kept: dict[str, str], name: str, value: str) -> None:
    if value.lower() not in _SSL_MODES:
        raise _refused(f"has a value of {name!r} that libpq does not know", "say `sslmode=require` or `verify-full`")
    kept.setdefault("sslmode", _SSL_MODES[value.lower()])


def _take_schema(kept: dict[str, str], name: str, value: str) -> None:
    schema = unquote(value)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*(,[A-Za-z_][A-Za-z0-9_$]*)*", schema):
        raise _refused(f"has a value of {name!r} that is no schema", "name the schema with letters, digits and `_`")
    # Every server's defaults; poolers may refuse to set them.
    if schema != "public":
        kept["options"] = "".join((kept.get("options", ""), quote(f" -c search_path={schema}"))).removeprefix("%20")


def _take_name(kept: dict[str, str], name: str, value: str) -> None:
    """A connection's name is ours: it carries the fence."""


_TRANSLATORS: Final[dict[str, Callable[[dict[str, str], str, str], None]]] = {
    "ssl": _take_ssl,
    "schema": _take_schema,
    "currentschema": _take_schema,
    "applicationname": _take_name,
    "application_name": _take_name,
}
