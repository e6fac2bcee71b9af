"""Messages of streams as tests read them: each is held to the schema that clients are given."""

import json
from functools import cache
from typing import Any

import jsonschema_rs

from agentic_gateway.feeds.frame_schema import build_schema

MAX_BYTES = 1_000_000


@cache
def _build_validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(build_schema(), validate_formats=True)


def read_frame(text: str | bytes) -> dict[str, Any]:
    """Return the message in a frame; fail where the schema does not have it, or it is too large."""
    found: dict[str, Any] = json.loads(text)
    assert len(text.encode() if isinstance(text, str) else text) < MAX_BYTES
    faults = [f"{error.instance_path}: {error.message}" for error in _build_validator().iter_errors(found)]
    assert not faults, (found, faults)
    return found
