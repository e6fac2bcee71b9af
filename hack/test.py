"""``make test``: the cluster and the images, then every test, with one closing summary.

The pages that a new reader follows are run as they stand.

Four stages: unit tests, whose coverage is measured, what else needs no cluster, sessions on the real cluster, and the
tests that take parts of that cluster away. The first and the third run in two processes, as many as there are cores
that a small machine has; the second in three, as its tests wait for servers a third of their time. Each test runs
once; one that fails is a fault of the product or of the test.
"""

import argparse
import os
import signal
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.coverage_report import format_table, read_report, sum_by_part
from hack.steps import step

EXAMPLES = ("outliers", "fanout", "agent", "approval-chain", "tool-approval", "chat")
IMAGES = (
    "operator",
    "gateway",
    "runner",
    "postgres",
    "e2e",
    "e2e-foreign",
    "e2e-projects",
    "langgraph-base",
    *(f"example-{name}" for name in EXAMPLES),
)
PROGRAMS = ("versitygw", "promtool", "helm", "gitleaks")
PYTEST = ("-m", "pytest", "-q", "--durations=10", "--durations-min=1")


@dataclass(frozen=True)
class Stage:
    """Tests that run in one pytest."""

    title: str
    paths: tuple[str, ...]
    processes: int = 0
    spread: str = "loadfile"
    is_measured: bool = False
    """Whether coverage is measured, in the processes of pytest."""

    def command(self, report: Path, extra: Sequence[str]) -> list[str]:
        side_by_side = ["-n", str(self.processes), "--dist", self.spread] if self.processes else []
        measured = ["--cov", "--cov-report="] if self.is_measured else []
        return [sys.executable, *PYTEST, *side_by_side, *measured, f"--junitxml={report}", *self.paths, *extra]


# Parts of `make full` alone: programs that take minutes to build (Vault six, ArgoCD's engine and what enforces
# NetworkPolicies three each), images on another Python four, and what installs everything again and again.
WITH_VAULT = tuple(f"tests/{folder}/test_vault.py" for folder in ("integration", "faults", "e2e"))
WITH_ARGOCD = ("tests/integration/test_argocd.py",)
IN_FULL_ONLY = (
    *WITH_VAULT,
    *WITH_ARGOCD,
    *(f"tests/e2e/test_{name}.py" for name in ("other_python", "networks", "helm", "openshift", "operations")),
)
CHANGE_THE_CLUSTER = tuple(f"tests/e2e/test_{name}.py" for name in ("disruptions", "results"))


def without(*paths: str) -> tuple[str, ...]:
    """Return what keeps pytest from files."""
    return tuple(f"--ignore={path}" for path in paths)


UNIT = Stage("unit tests", ("tests/unit",), 2, "worksteal", is_measured=True)
WITHOUT_CLUSTER = Stage(
    "integration, conformance and fault tests",
    (
        *(f"tests/{name}" for name in ("projects", "integration", "conformance", "faults", "trust")),
        *(f"tests/{name}" for name in ("gateway", "browser")),
        *without(*IN_FULL_ONLY),
    ),
    3,
)
ON_CLUSTER = Stage(
    "sessions on the real cluster", ("tests/e2e", *without(*CHANGE_THE_CLUSTER, *IN_FULL_ONLY)), 2, "load"
)
DISRUPTIONS = Stage("the real cluster loses or changes parts", CHANGE_THE_CLUSTER)


def run(stage: Stage, folder: Path, extra: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Run a stage once; return pytest's exit status and how many tests passed, failed and were skipped."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    status = step(stage.title, stage.command(report, extra))
    return status, count(report)


def count(report: Path) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped, as a report of pytest says."""
    if not report.exists():
        return {"passed": 0, "failed": 0, "skipped": 0}
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314  (pytest wrote it a moment ago)
    tests = failed = skipped = 0
    for suite in suites:
        tests += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return {"passed": tests - failed - skipped, "failed": failed, "skipped": skipped}


def main() -> int:
    """Run all stages, the later ones also where an earlier one failed; the exit status says whether all passed."""
    parser = argparse.ArgumentParser(prog="python -m hack.test", description=__doc__)
    parser.add_argument("--no-cluster", action="store_true", help="only what needs no cluster")
    parser.add_argument("pytest", nargs="*", help="passed to pytest")
    options = parser.parse_args()
    # Where this was started in the background of a script, Ctrl-C is ignored, and tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Else every process that a test starts compiles all it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    stages = [UNIT, WITHOUT_CLUSTER] if options.no_cluster else [UNIT, WITHOUT_CLUSTER, ON_CLUSTER, DISRUPTIONS]
    images = ("images", ("hack.images", "build", *IMAGES))
    on_cluster = (("local cluster", ("hack.cluster", "up")), images, ("operator", ("hack.install",)))
    programs = (
        ("programs of the cluster", ("hack.cluster", "binaries")),
        ("programs that tests start", ("hack.cluster", "binaries", *PROGRAMS)),
    )
    preparations = (*programs, *((images,) if options.no_cluster else on_cluster))
    for title, module in preparations:
        if status := step(title, [sys.executable, "-m", *module]):
            return status
    console = step(
        "the web console: types, style, unit tests and budgets", [sys.executable, "-m", "hack.console", "check"]
    )
    guide = 0 if options.no_cluster else step("pages of the guide", [sys.executable, "-m", "hack.pages"])
    with tempfile.TemporaryDirectory() as folder:
        ended = [run(stage, Path(folder), options.pytest) for stage in stages]
    if report := read_report():
        print("coverage of the unit tests (processes that the other tests start are not measured):")
        print(format_table(sum_by_part(report)))
    total = {word: sum(counts[word] for _, counts in ended) for word in ("passed", "failed", "skipped")}
    print(", ".join(f"{number} {word}" for word, number in total.items()))
    return next((status for status in (*(status for status, _ in ended), console, guide) if status), 0)


if __name__ == "__main__":
    sys.exit(main())
