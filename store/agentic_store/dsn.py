"""How we connect to PostgreSQL: where the connection string comes from, and that its password never leaves it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agentic_core.errors import PermanentError
from agentic_store.foreign_dsn import understand
from agentic_store.libpq import isolate

FILE_VARIABLE: Final = "POSTGRES_CONNECTION_STRING_FILE"
VARIABLE: Final = "POSTGRES_CONNECTION_STRING"
# Any of these says that libpq itself is configured, so that an empty connection string means something.
_LIBPQ_VARIABLES: Final = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE")
_MASK: Final = "********"

# The last "@" ends the credentials: a host never has one, while passwords that were pasted unescaped often do. What
# looks like `host:5432/db?option=` is none: an option's value may hold an "@".
_URI: Final = re.compile(
    r"(?P<scheme>postgres(?:ql)?://)(?P<user>[^:@/?]*):(?!\d+/[^?@]*\?\w+=)(?P<password>.*)@(?P<rest>[^@]*)", re.DOTALL
)
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Dsn:
    """A connection string, kept as a secret: its text forms show everything but the password."""

    def __init__(
        self,
        conninfo: str,
        *,
        environ: Mapping[str, str] | None = None,
        file: Path | None = None,
        is_isolated: bool = False,
    ) -> None:
        """Take a valid libpq connection string; ``environ`` has the variables that libpq reads for missing parameters.

        ``file`` is the file of the string, which may get a newer one. If ``is_isolated``, variables of the process do
        not affect its connections (``agentic_store.libpq``).
        """
        environ = environ or {}
        known = conninfo_to_dict(conninfo)
        self.conninfo: Final = isolate(conninfo) if is_isolated else conninfo
        self.is_isolated: Final = is_isolated
        self._file: Final = file
        self.host: Final = str(known.get("host") or known.get("hostaddr") or environ.get("PGHOST") or "localhost")
        self.port: Final = str(known.get("port") or environ.get("PGPORT") or "5432")
        self.user: Final = str(known.get("user") or environ.get("PGUSER") or "")
        self.dbname: Final = str(known.get("dbname") or environ.get("PGDATABASE") or self.user)
        password = str(known.get("password") or environ.get("PGPASSWORD") or "")
        # Longest first, so that no form of it is left behind half replaced.
        forms = {password, quote(password, safe=""), quote(password), unquote(password)}
        self._secrets: Final = sorted(filter(None, forms), key=len, reverse=True)

    @classmethod
    def parse(cls, text: str, *, file: Path | None = None, is_isolated: bool = False) -> "Dsn":
        """Read a URI or a ``key=value`` string; raise ``PermanentError``, without quoting it, if it is neither.

        A password in a URI may contain ``@ / % # ?`` unencoded. Forms of other drivers are accepted if they are
        unambiguous.
        """
        text = understand(text)
        try:
            # make_conninfo parses the string, and keeps the host of a Unix socket.
            return cls(make_conninfo(_escape_password(text)), file=file, is_isolated=is_isolated)
        except ProgrammingError:
            # libpq's message quotes the part that it stumbled over, which may be a piece of the password.
            raise PermanentError(
                "the PostgreSQL connection string cannot be read: expected `postgresql://user:password@host:5432/db` "
                "(percent-encode special characters of the password) or `host=… dbname=… user=… password=…`"
            ) from None

    def with_login(self, user: str, password: str) -> "Dsn":
        """Return the same connection for somebody else."""
        return Dsn(make_conninfo(self.conninfo, user=user, password=password), is_isolated=self.is_isolated)

    def refresh(self) -> "Dsn":
        """Return the file's current string; itself without a file, or if the file cannot be used at the moment."""
        if self._file is None:
            return self
        try:
            return read_dsn({}, file=self._file, is_isolated=self.is_isolated)
        except PermanentError:
            return self

    def with_login_of(self, other: "Dsn") -> "Dsn":
        """Return the same connection for the user of another."""
        known = conninfo_to_dict(other.conninfo)
        return self.with_login(str(known.get("user") or ""), str(known.get("password") or ""))

    def describe(self) -> str:
        """Return who connects to where, without the password."""
        user = f"{self.user}@" if self.user else ""
        return f"{user}{self.host}:{self.port}/{self.dbname}"

    def redact(self, text: str) -> str:
        """Return ``text`` with every form of the password replaced."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text

    def __repr__(self) -> str:
        return f"Dsn({self.describe()})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dsn) and other.conninfo == self.conninfo

    def __hash__(self) -> int:
        return hash(self.conninfo)


def read_dsn(environ: Mapping[str, str] = os.environ, *, file: Path | None = None, is_isolated: bool = False) -> Dsn:
    """Find the connection string: ``file``, the file named by a variable, the variable itself, libpq's variables.

    With ``is_isolated`` libpq's variables are somebody else's, and not looked at. Raises ``PermanentError`` where
    nothing is set or the file cannot be read.
    """
    if file is None and environ.get(FILE_VARIABLE):
        file = Path(environ[FILE_VARIABLE])
    if file is not None:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise PermanentError(f"cannot read the connection string from {str(file)!r}: {reason}") from error
        if not text.strip():
            raise PermanentError(f"the connection string file {str(file)!r} is empty")
        return Dsn.parse(text, file=file, is_isolated=is_isolated)
    if environ.get(VARIABLE):
        return Dsn.parse(environ[VARIABLE], is_isolated=is_isolated)
    if not is_isolated and any(environ.get(name) for name in _LIBPQ_VARIABLES):
        return Dsn("", environ=environ)
    raise PermanentError(
        f"no database is configured: set {FILE_VARIABLE} (a file with the connection string), {VARIABLE}, "
        "or PGHOST, PGDATABASE, PGUSER and PGPASSWORD"
    )


def _escape_password(text: str) -> str:
    found = _URI.fullmatch(text)
    if found is None:
        return text
    password = quote(_STRAY_PERCENT.sub("%25", found["password"]), safe="%")
    return f"{found['scheme']}{found['user']}:{password}@{found['rest']}"
