"""The page that begins with what one sees: it has every reason and every exit code, and says what to do."""

import re

from agentic_core.conditions import Reason
from agentic_core.contract import ExitCode
from tests.unit.test_layout import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
WELL = "## All is well"
ROW = re.compile(r"^\| (.+?) \| (.*?) \| (.+) \|$", re.MULTILINE)
WORD = re.compile(r"`(\w+)`")


def read_part(title: str) -> str:
    return PAGE.partition(f"{title}\n")[2].partition("\n## ")[0]


def test_every_reason_is_there_once_as_something_to_look_up() -> None:
    well = set(WORD.findall(read_part(WELL)))
    seen = [word for first, _, _ in ROW.findall(PAGE) for word in WORD.findall(first) if word in set(Reason)]
    assert sorted({*seen, *well} & set(Reason)) == sorted(Reason)
    assert sorted(seen) == sorted(set(seen))
    assert well & set(seen) == set()
    assert well <= set(Reason)


def test_the_page_knows_no_reason_that_is_none() -> None:
    firsts = [first for first, _, _ in ROW.findall(PAGE)]
    words = {word for first in firsts for word in re.findall(r"`([A-Z]\w+)`", first)}
    assert words <= set(Reason)


def test_every_exit_code_of_a_runner_is_there() -> None:
    codes = [int(first) for first, _, _ in ROW.findall(read_part("## A runner's exit code")) if first.isdigit()]
    assert codes == sorted(codes)
    # 137 is the kernel's.
    assert set(codes) == {*(code.value for code in ExitCode), 137}


def test_every_row_ends_with_something_to_do() -> None:
    assert [row for row in ROW.findall(PAGE) if not row[2].strip()] == []
