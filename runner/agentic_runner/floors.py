"""Refuses libraries that are too old for the runner."""

import importlib.metadata
import re
from collections.abc import Callable, Mapping
from typing import Final

FLOORS: Final[Mapping[str, str]] = {
    "cryptography": "45",
    "httpx": "0.28",
    "jsonschema-rs": "0.61",
    "langgraph": "1.2.13",
    "langgraph-checkpoint-postgres": "3.2",
    "minio": "7.2.15",
    "psycopg": "3.3.6",
    "pydantic": "2.14",
    "python-dotenv": "1.1",
}


def find_outdated(read_version: Callable[[str], str] = importlib.metadata.version) -> str | None:
    """Return the libraries that are too old, each with both versions; None if all are new enough."""
    faults = []
    for name, floor in FLOORS.items():
        try:
            version = read_version(name)
        except importlib.metadata.PackageNotFoundError:
            faults.append(f"{name} is not installed, {floor} or newer is needed")
            continue
        if _key(version) < _key(floor):
            faults.append(f"{name} is {version}, {floor} or newer is needed")
    if not faults:
        return None
    return f"libraries of the image are too old: {'; '.join(faults)}: raise what the project pins, and build it anew"


def _key(version: str) -> tuple[int, ...]:
    """Return the numbers of a version's release; what comes before a release counts as the release."""
    release = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    numbers = [int(part) for part in release[1].split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
