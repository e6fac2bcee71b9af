"""Lines of W3C's Trace Context: taken where they are one, and nothing else becomes a trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.trace_context import find_trace_id, read_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINE = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize("line", [LINE, f"  {LINE} ", f"cc-{TRACE}-00f067aa0ba902b7-01-later"])
def test_a_line_names_its_trace(line: str) -> None:
    assert read_traceparent(line) == line.strip()
    assert find_trace_id(read_traceparent(line)) == TRACE


@pytest.mark.parametrize(
    "line",
    [
        None,
        "",
        LINE.upper(),
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{LINE}-more",
        f"{LINE}\nX: y",
        f"cc-{TRACE}-00f067aa0ba902b7-01-{'x' * 300}",
        f"cc-{TRACE}-00f067aa0ba902b7-01-\x1b[31m",
        f"cc-{TRACE}-00f067aa0ba902b7-01-é",
        # Kubernetes would put another variable's value there.
        f"cc-{TRACE}-00f067aa0ba902b7-01-$(SECRET)",
    ],
)
def test_what_is_no_line_is_no_trace(line: str | None) -> None:
    assert read_traceparent(line) == ""


@given(st.text(max_size=80))
def test_whatever_is_sent_what_is_passed_on_is_one_printable_line(text: str) -> None:
    line = read_traceparent(text)
    assert line == "" or (line.isascii() and line.isprintable())
    assert find_trace_id(line) == (line[3:35] if line else "")
