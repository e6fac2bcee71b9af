"""The trace that a request is part of, as W3C's Trace Context writes it: one line, that is passed on as it is."""

import re
from typing import Final

from agentic_core.names import GROUP

HEADER: Final = "traceparent"
# On a session: the trace of the request that asked for it. Its runs get the line as the variable TRACEPARENT.
TRACE_ANNOTATION: Final = f"{GROUP}/traceparent"
# A later version may have more after the flags; ff is none (https://www.w3.org/TR/trace-context/).
_LINE: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-[-0-9A-Za-z_]*)?"
)
_MAX_LENGTH: Final = 256


def read_traceparent(text: str | None) -> str:
    """Return a line that says which trace something belongs to; empty for what is none."""
    line = (text or "").strip()
    return line if _match(line) is not None else ""


def find_trace_id(traceparent: str) -> str:
    """Return the id of the trace that a line names; empty for what is none."""
    found = _match(traceparent)
    return found["trace"] if found is not None else ""


def _match(line: str) -> re.Match[str] | None:
    found = _LINE.fullmatch(line) if len(line) <= _MAX_LENGTH else None
    return None if found is None or (found["version"] == "00" and found["more"]) else found
