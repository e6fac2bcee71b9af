"""Reads YAML of several documents: what a chart renders has 400 kB, which libyaml reads in a tenth of the time."""

from collections.abc import Iterable
from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_documents(text: str) -> list[dict[str, Any]]:
    """Return the documents of a text; empty ones are left out."""
    documents: Iterable[Any] = yaml.load_all(text, Loader=_LOADER)
    return [document for document in documents if document]
