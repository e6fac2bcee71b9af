"""The report of an inspection in a log that holds anything else as well."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.inspection import (
    MAX_LINES,
    REPORT_BEGIN,
    REPORT_END,
    ReportTooLarge,
    find_report,
    frame_report,
)

REPORT = {
    "nodes": ["a", "b"],
    "inputSchema": {"description": "".join(random.Random(1).choices(string.printable, k=20_000))},
}


@given(st.text(), st.text())
def test_a_report_is_found_between_anything_else(before: str, after: str) -> None:
    assert find_report(before + frame_report(REPORT) + after) == REPORT


@given(st.lists(st.text(st.characters(exclude_characters="<>")), max_size=40), st.randoms())
def test_a_report_is_found_with_other_output_between_its_lines(noise: list[str], order: random.Random) -> None:
    lines = frame_report(REPORT).splitlines(keepends=True)
    for text in noise:
        lines.insert(order.randrange(len(lines) + 1), text)
    assert find_report("".join(lines)) == REPORT


def test_the_last_whole_report_counts() -> None:
    older, newer = frame_report({"nodes": ["old"]}), frame_report(REPORT)
    assert find_report(older + newer) == REPORT
    half = "".join(newer.splitlines(keepends=True)[:-1])
    assert find_report(older + half) == {"nodes": ["old"]}


def test_a_report_that_was_changed_is_none() -> None:
    framed = frame_report(REPORT)
    place = framed.index("1/") + 40
    changed = framed[:place] + ("A" if framed[place] != "A" else "B") + framed[place + 1 :]
    assert find_report(changed) is None
    assert (
        find_report(framed.replace(f"<agentic-inspection {framed.split()[1]}", "<agentic-inspection " + "0" * 64))
        is None
    )


def test_a_project_that_prints_the_plain_markers_does_not_stand_before_the_report() -> None:
    forged = f"{REPORT_BEGIN}\n{{}}\n{REPORT_END}\n"
    assert find_report(forged + frame_report(REPORT) + forged) == REPORT
    assert find_report(forged) == {}


def test_lines_are_short_enough_to_be_written_at_once_and_few_enough_to_be_read() -> None:
    lines = frame_report(REPORT).splitlines()
    assert all(len(line) < 4096 for line in lines)
    noise = random.Random(2).randbytes(MAX_LINES * 3000).hex()
    with pytest.raises(ReportTooLarge):
        frame_report({"noise": noise})
    with pytest.raises(ReportTooLarge):
        frame_report({"long": "x" * 5_000_000})
