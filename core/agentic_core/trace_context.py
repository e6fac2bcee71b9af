"""The trace that a request is part of, as W3C's Trace Context writes it: one line, that is passed on as it is."""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from agentic_core.names import GROUP

HEADER: Final = "traceparent"
# On a session: the trace of the request that asked for it. Its runs get the line as the variable TRACEPARENT.
TRACE_ANNOTATION: Final = f"{GROUP}/traceparent"
# A later version may have more after the flags; ff is none (https://www.w3.org/TR/trace-context/).
_LINE: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-[-0-9A-Za-z_]*)?"
)
_MAX_LENGTH: Final = 256
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class SpanContext:
    """A span as others name it: what they are part of, and whether it is sent."""

    trace_id: str
    span_id: str
    is_sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The line that names it."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


@dataclass(frozen=True)
class Sampler:
    """Which traces are sent: as the parent says where there is one, else a share of them."""

    follows_parent: bool = True
    ratio: float = 1.0

    def samples(self, trace_id: str, parent: SpanContext | None) -> bool:
        """Return whether a span of this trace is sent; the share is chosen as OpenTelemetry's own samplers choose."""
        if self.follows_parent and parent is not None:
            return parent.is_sampled
        return int(trace_id[16:], 16) < round(self.ratio * 2**64)


def read_traceparent(text: str | None) -> str:
    """Return a line that says which trace something belongs to; empty for what is none."""
    line = (text or "").strip()
    return line if _match(line) is not None else ""


def find_trace_id(traceparent: str) -> str:
    """Return the id of the trace that a line names; empty for what is none."""
    found = _match(traceparent)
    return found["trace"] if found is not None else ""


def parse_traceparent(text: str | None) -> SpanContext | None:
    """Return the span that a line names; None for what is no such line."""
    found = _match((text or "").strip())
    if found is None:
        return None
    return SpanContext(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))


def derive_trace_id(session_uid: str) -> str:
    """Return the trace of a session that no request's trace made: the same for operator and runners, in each run."""
    return sha256(f"trace/{session_uid}".encode()).hexdigest()[:32]


def derive_start_id(session_uid: str, run: int) -> str:
    """Return the span of the operator that makes a run: the same where a Job is made again after a crash."""
    return sha256(f"start/{session_uid}/{run}".encode()).hexdigest()[:16]


def _match(line: str) -> re.Match[str] | None:
    found = _LINE.fullmatch(line) if len(line) <= _MAX_LENGTH else None
    return None if found is None or (found["version"] == "00" and found["more"]) else found
