"""The stages of ``make test``: each test runs once, and what failed counts as failed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hack import test as stages

REPORT = '<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1"/></testsuites>'


def test_a_stage_with_a_failure_runs_once_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Sequence[str]] = []

    def play_pytest(title: str, command: Sequence[str]) -> int:
        commands.append(command)
        (report,) = (argument.partition("=")[2] for argument in command if argument.startswith("--junitxml="))
        Path(report).write_text(REPORT, encoding="utf-8")
        return 1

    monkeypatch.setattr(stages, "step", play_pytest)
    assert stages.run(stages.UNIT, tmp_path, []) == (1, {"passed": 2, "failed": 2, "skipped": 1})
    assert len(commands) == 1


@pytest.mark.parametrize("stage", [stages.UNIT, stages.WITHOUT_CLUSTER, stages.ON_CLUSTER, stages.DISRUPTIONS])
def test_no_stage_tries_a_test_again(stage: stages.Stage, tmp_path: Path) -> None:
    command = " ".join(stage.command(tmp_path / "report.xml", []))
    assert not [word for word in ("--last-failed", "--lf", "--reruns", "--ff") if word in command.split()]


@pytest.mark.parametrize("text", ["", REPORT])
def test_a_stage_that_leaves_no_report_has_passed_nothing(tmp_path: Path, text: str) -> None:
    report = tmp_path / "report.xml"
    if text:
        report.write_text(text, encoding="utf-8")
    assert stages.count(report)["passed"] == (2 if text else 0)
