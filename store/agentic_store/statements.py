"""The SQL of this package: named statements in ``sql/*.sql``, read once."""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_statements(topic: str) -> Mapping[str, bytes]:
    """Return the statements of ``sql/{topic}.sql`` by the names that its ``-- name: …`` lines give them.

    As bytes, because psycopg takes these for trusted text: they are files of this package.
    """
    return split_statements(
        resources.files("agentic_store").joinpath("sql", f"{topic}.sql").read_text(encoding="utf-8")
    )


def split_statements(text: str) -> Mapping[str, bytes]:
    """Return the statements of a file's text by the names that its ``-- name: …`` lines give them."""
    _, *parts = _NAME.split(text)
    return {name: body.strip().rstrip(";").encode() for name, body in zip(parts[::2], parts[1::2], strict=True)}
