"""What may be looked for in the record of sessions, and what PostgreSQL's containment (``@>``) means.

Values reach the database only as parameters; values that it could not take are refused here.
"""

from collections.abc import Mapping
from typing import Final

from agentic_core.errors import PermanentError
from agentic_store.records import Json
from agentic_store.results.output import encode_json, is_storable

MAX_PAGE: Final = 1000
MAX_SEARCH_BYTES: Final = 64 * 1024
MAX_VERSION_BYTES: Final = 128
"""Longer versions are kept and shown; they are not listed by."""


class InvalidSearch(PermanentError):
    """The search is not possible; the message gives the reason."""


def check_limit(limit: int) -> int:
    """Return the length of a page, or refuse it."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidSearch(f"a page of {limit!r} sessions cannot be had: ask for 1 to {MAX_PAGE}")
    return limit


def check_version(version: str) -> str:
    """Return a workflow's version to list by, or refuse it."""
    if len(version.encode(errors="surrogatepass")) > MAX_VERSION_BYTES:
        raise InvalidSearch(f"a version of over {MAX_VERSION_BYTES} bytes is not listed by: {version[:40]!r}…")
    return version


def encode_search(containing: Mapping[str, Json]) -> str:
    """Return what inputs have to contain, as JSON that PostgreSQL takes, or refuse it."""
    if not containing:
        raise InvalidSearch("a search names at least one field of the inputs: list the sessions to get all")
    encoded = encode_json(containing)
    if len(encoded) > MAX_SEARCH_BYTES:
        raise InvalidSearch(f"a search of {len(encoded):,} bytes is too long: {MAX_SEARCH_BYTES:,} are possible")
    return encoded


def can_exist(*names: str) -> bool:
    """Return whether a row may have these names: PostgreSQL holds no text with U+0000 or half a surrogate pair."""
    return all(map(is_storable, names))


def contains(value: Json, part: Json) -> bool:
    """Return whether ``value @> part``: objects by their keys, lists by any of their items, the rest by equality."""
    if isinstance(value, Mapping) and isinstance(part, Mapping):
        return all(key in value and contains(value[key], wanted) for key, wanted in part.items())
    if isinstance(value, list) and isinstance(part, list):
        return all(any(contains(item, wanted) for item in value) for wanted in part)
    if isinstance(value, bool) or isinstance(part, bool):
        # To Python, True is a number.
        return value is part
    return not isinstance(value, Mapping | list) and not isinstance(part, Mapping | list) and value == part
