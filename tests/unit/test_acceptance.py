"""The list of what is shown to work names tests that exist."""

import re

from tests.unit.test_layout import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def test_every_test_in_the_list_of_behaviours_exists() -> None:
    page = (ROOT / "docs" / "acceptance.md").read_text(encoding="utf-8")
    named = NAMED.findall(page)
    assert len(named) > 50
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).exists()
        or (test and not re.search(rf"def {test}\b", (ROOT / file).read_text(encoding="utf-8")))
    ]
    assert missing == []


def test_every_behaviour_names_a_test() -> None:
    page = (ROOT / "docs" / "acceptance.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| behaviour |")]
    assert len(rows) > 50
    assert [row for row in rows if not NAMED.search(row.rsplit(" | ", 1)[-1])] == []


def test_the_page_is_made_of_whole_rows() -> None:
    page = (ROOT / "docs" / "acceptance.md").read_text(encoding="utf-8")
    lines = page.split("\n## ", 1)[1].splitlines()[1:]
    broken = [line for line in lines if line and not line.startswith("## ") and not re.fullmatch(r"\|.*\|.*\|", line)]
    assert broken == []
