"""The variables of the process that hold secrets: the operator lists their names, and mounts whole Secrets as files."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from agentic_runner.output.secret_forms import SHORTEST


def find_secret_values(environ: Mapping[str, str]) -> set[str]:
    """Return the values of variables from Secrets that are too long to be ordinary words."""
    values = {environ.get(name, "") for name in environ.get("SECRET_ENV", "").split(",") if name}
    for folder in filter(None, environ.get("SECRET_ENV_FOLDERS", "").split(":")):
        for key, value in _read(Path(folder)):
            values.add(value)
            # The file may be newer than the variable; its name has the definition's prefix before the key's.
            values |= {given for name, given in environ.items() if name.endswith(key)}
    return {value for value in values if len(value) >= SHORTEST}


def _read(folder: Path) -> Iterator[tuple[str, str]]:
    try:
        files = [each for each in folder.iterdir() if not each.name.startswith("..") and each.is_file()]
    except OSError:
        return
    for file in files:
        try:
            yield file.name, file.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            continue
