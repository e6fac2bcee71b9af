"""The SQL files of ``migrations/``: what each is called, its checksum, and how it wants to be run."""

import hashlib
import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agentic_core.errors import PermanentError

DIRECTORY_VARIABLE: Final = "AGENTIC_MIGRATIONS_DIR"
VERIFICATION: Final = "verification.sql"
# The optional step for semantic search (``vectors``).
VECTORS_UP: Final = "vectors.up.sql"
VECTORS_DOWN: Final = "vectors.down.sql"
_UNNUMBERED: Final = frozenset({VERIFICATION, VECTORS_UP, VECTORS_DOWN})
# The first line of a file that builds indexes while others write, which PostgreSQL does in no transaction.
OUTSIDE_A_TRANSACTION: Final = "-- outside a transaction"

_FILE_NAME: Final = re.compile(r"(?P<version>\d{3})_(?P<name>[a-z0-9_]+)\.(?P<direction>up|down)\.sql")
# Everything in which a semicolon ends no statement, and the semicolon that does.
_TOKEN: Final = re.compile(r"(?P<quote>\$\w*\$).*?(?P=quote)|'(?:[^']|'')*'|--[^\n]*|(?P<end>;)", re.DOTALL)


@dataclass(frozen=True)
class Script:
    """One SQL file."""

    file_name: str
    text: str

    @property
    def is_transaction(self) -> bool:
        """Whether the file is run as a whole or not at all."""
        return not self.text.startswith(OUTSIDE_A_TRANSACTION)

    @property
    def loss(self) -> str:
        """The first paragraph of the file's comment: what the file deletes."""
        lines = itertools.takewhile(lambda line: line.startswith("-- "), self.text.splitlines())
        return " ".join(line.removeprefix("-- ") for line in lines if line != OUTSIDE_A_TRANSACTION)

    @property
    def statements(self) -> tuple[str, ...]:
        """The file's statements one by one."""
        found, start = [], 0
        for token in _TOKEN.finditer(self.text):
            if token["end"]:
                found.append(self.text[start : token.start()].strip())
                start = token.end()
        return tuple(found)


@dataclass(frozen=True)
class Migration:
    """One numbered pair of SQL files."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.up.encode()).hexdigest()

    @property
    def file_name(self) -> str:
        return self.up_script.file_name

    @property
    def loss(self) -> str:
        """What undoing it deletes."""
        return self.down_script.loss

    @property
    def up_script(self) -> Script:
        return Script(f"{self.version:03}_{self.name}.up.sql", self.up)

    @property
    def down_script(self) -> Script:
        return Script(f"{self.version:03}_{self.name}.down.sql", self.down)


def find_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the SQL files are: the variable's folder, the installed package's, the checkout's."""
    if environ.get(DIRECTORY_VARIABLE):
        return Path(environ[DIRECTORY_VARIABLE])
    here = Path(__file__).resolve().parents[1]
    installed = here / "migrations"
    return installed if installed.is_dir() else here.parents[1] / "migrations"


def discover(directory: Path | None = None) -> tuple[Migration, ...]:
    """Read all migrations, oldest first; refuse a gap, a missing half or two files of one number."""
    directory = directory or find_directory()
    files: dict[tuple[int, str], tuple[str, str]] = {}
    for path in sorted(directory.glob("*.sql")):
        if path.name in _UNNUMBERED:
            continue
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise PermanentError(f"migration file {path.name!r} is not named like 001_name.up.sql: rename it")
        key = int(match["version"]), match["direction"]
        if key in files:
            raise PermanentError(f"two migration files are numbered {match['version']}: renumber {path.name!r}")
        # The checksum must not depend on how a checkout writes its line ends.
        files[key] = match["name"], path.read_text(encoding="utf-8").replace("\r\n", "\n")
    if not files:
        raise PermanentError(f"no migrations in {str(directory)!r}: set {DIRECTORY_VARIABLE} to their folder")
    return tuple(_pair(files, version) for version in range(1, max(version for version, _ in files) + 1))


def _pair(files: Mapping[tuple[int, str], tuple[str, str]], version: int) -> Migration:
    try:
        (name, up_sql), (down_name, down_sql) = files[version, "up"], files[version, "down"]
    except KeyError as missing:
        _, direction = missing.args[0]
        raise PermanentError(f"migration {version:03} has no .{direction}.sql file: add it") from None
    if name != down_name:
        raise PermanentError(f"migration {version:03} is named {name!r} up and {down_name!r} down: make them equal")
    return Migration(version, name, up_sql, down_sql)
