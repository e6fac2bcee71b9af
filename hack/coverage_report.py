"""What the unit tests reach, by part: lines and branches, for the closing summary of ``make test``.

Only the processes of pytest are measured. Operators and runners that other tests start as processes are not: tracing
adds about half to the CPU time of what is traced, and tests that kill and time these processes would test others.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import coverage
from coverage.exceptions import NoDataError

from hack.kubectl import ROOT

PARTS: Final = ("core", "store", "operator", "runner", "gateway", "client", "cli", "vault", "hack")


@dataclass(frozen=True)
class Reach:
    """How many lines and branches of a part there are, and how many ran."""

    part: str
    lines: int = 0
    lines_run: int = 0
    branches: int = 0
    branches_run: int = 0


def sum_by_part(report: Mapping[str, Any]) -> list[Reach]:
    """Return the sums of each part, in the order of ``PARTS``, from coverage's report in JSON."""
    sums = {part: [0, 0, 0, 0] for part in PARTS}
    for name, file in report.get("files", {}).items():
        part = Path(name).parts[0]
        if part in sums:
            each = file["summary"]
            found = (
                each["num_statements"],
                each["covered_lines"],
                each.get("num_branches", 0),
                each.get("covered_branches", 0),
            )
            sums[part] = [one + other for one, other in zip(sums[part], found, strict=True)]
    return [Reach(part, *counts) for part, counts in sums.items()]


def format_table(reached: Sequence[Reach]) -> str:
    """Return a table for people: percent of lines and of branches for each part."""
    rows = [("", "lines", "branches")]
    rows += [
        (each.part, _percent(each.lines_run, each.lines), _percent(each.branches_run, each.branches))
        for each in reached
    ]
    return "\n".join(f"  {part:<10}{lines:>9}{branches:>10}" for part, lines, branches in rows)


def _percent(run: int, there: int) -> str:
    return f"{100 * run / there:.0f} %" if there else "-"


def read_report() -> dict[str, Any]:
    """Return coverage's report of the last measured run, in JSON; empty if nothing was measured."""
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    try:
        measured.load()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "coverage.json"
            measured.json_report(outfile=str(file), ignore_errors=True)
            report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return report
    except NoDataError:
        return {}
