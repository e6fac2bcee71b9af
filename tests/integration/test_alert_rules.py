"""The alert rules as Prometheus itself reads them: valid, and each speaks in its case and keeps silent beside it."""

import subprocess
from pathlib import Path

import pytest
import yaml

from hack.cluster.binaries import ensure
from tests.support.commands import ROOT

RULES = ROOT / "manifests/monitoring/rules.yaml"
CASES = Path(__file__).with_name("alerts.yaml")


@pytest.fixture(scope="module")
def promtool() -> Path:
    return ensure(["promtool"])["promtool"]


def run(program: Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_names() -> list[str]:
    return [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_prometheus_takes_the_rules(promtool: Path) -> None:
    assert f"SUCCESS: {len(read_names())} rules found" in run(
        promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)
    )


def test_each_alert_speaks_in_its_case_and_keeps_silent_beside_it(promtool: Path, tmp_path: Path) -> None:
    cases = yaml.safe_load(CASES.read_text())
    told = {test["alertname"] for case in cases["tests"] for test in case["alert_rule_test"] if test.get("exp_alerts")}
    assert told == set(read_names())
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump({**cases, "rule_files": [str(RULES)]}))
    assert "SUCCESS" in run(promtool, "test", "rules", str(file))
