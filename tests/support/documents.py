"""Reads YAML of several documents: what a chart renders has 400 kB, which libyaml reads in a tenth of the time."""

from collections.abc import Iterable
from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_documents(text: str) -> list[dict[str, Any]]:
    """Return the documents of a text; empty ones are left out."""
    documents: Iterable[Any] = yaml.load_all(text, Loader=_LOADER)
    return [document for document in documents if document]


def find_images(value: Any) -> list[str]:
    """Return every image in documents, wherever it stands, and in variables whose name says that they are one."""
    if isinstance(value, list):
        return [image for item in value for image in find_images(item)]
    if not isinstance(value, dict):
        return []
    own = [value["image"]] if isinstance(value.get("image"), str) else []
    if str(value.get("name")).endswith("_IMAGE") and "value" in value:
        own.append(value["value"])
    return own + [image for item in value.values() for image in find_images(item)]
