"""The coverage in the closing summary of ``make test``: sums by part, and which stage is measured."""

from pathlib import Path

from hack.coverage_report import PARTS, Reach, format_table, sum_by_part
from hack.test import DISRUPTIONS, ON_CLUSTER, UNIT, WITHOUT_CLUSTER


def summary(lines: int, run: int, branches: int, branches_run: int) -> dict[str, dict[str, int]]:
    return {
        "summary": {
            "num_statements": lines,
            "covered_lines": run,
            "num_branches": branches,
            "covered_branches": branches_run,
        }
    }


def test_files_are_summed_by_the_part_that_they_are_in() -> None:
    report = {
        "files": {
            "core/agentic_core/names.py": summary(10, 9, 4, 2),
            "core/agentic_core/schema/schema.py": summary(30, 27, 6, 6),
            "operator/agentic_operator/sessions/decide.py": summary(100, 50, 0, 0),
            "tests/unit/test_layout.py": summary(5, 5, 0, 0),
        }
    }
    reached = sum_by_part(report)
    assert [each.part for each in reached] == list(PARTS)
    assert reached[0] == Reach("core", 40, 36, 10, 8)
    assert reached[PARTS.index("operator")] == Reach("operator", 100, 50, 0, 0)
    assert reached[PARTS.index("vault")] == Reach("vault")


def test_the_table_shows_percent_and_nothing_where_there_is_nothing() -> None:
    lines = format_table([Reach("core", 40, 36, 10, 8), Reach("vault")]).splitlines()
    assert lines[0].split() == ["lines", "branches"]
    assert lines[1].split() == ["core", "90", "%", "80", "%"]
    assert lines[2].split() == ["vault", "-", "-"]


def test_unit_tests_alone_are_measured_and_every_folder_is_in_one_stage() -> None:
    assert [each for each in (UNIT, WITHOUT_CLUSTER, ON_CLUSTER, DISRUPTIONS) if each.is_measured] == [UNIT]
    assert "--cov" in UNIT.command(Path("report.xml"), ())
    assert "--cov" not in WITHOUT_CLUSTER.command(Path("report.xml"), ())
    folders = {
        path.split("/")[1]
        for each in (UNIT, WITHOUT_CLUSTER, ON_CLUSTER, DISRUPTIONS)
        for path in each.paths
        if path.startswith("tests/")
    }
    tests = Path(__file__).parents[2]
    there = {file.relative_to(tests).parts[0] for file in tests.rglob("test_*.py")}
    assert folders == there
