"""LangGraph's own tests of checkpointers, run with the library's saver and with a runner's, and compared.

``python -m hack.langgraph_tests [--python PYTHON] FOLDER [PYTEST...]`` takes ``libs/langgraph`` or
``libs/checkpoint-postgres`` of a checkout of LangGraph's repository, at the version that is installed or the nearest,
and what pytest is to be given. PYTHON is an interpreter that has what those tests need besides this project's
environment: redis, pytest-mock, syrupy, langgraph-checkpoint-sqlite. Fails where a test that passes with the library's
saver does not pass with a runner's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hack.langgraph_plugin import SAVER, URI
from tests.support.postgres_server import start_server

ROOT: Final = Path(__file__).parent.parent


def run(python: str, folder: Path, uri: str, saver: str, extra: Sequence[str]) -> dict[str, str]:
    """Run the tests with one saver; return how each ended."""
    environment = {
        **os.environ,
        URI: uri,
        SAVER: saver,
        "LANGGRAPH_STRICT_MSGPACK": "true",
        "PYTHONPATH": str(ROOT),
    }
    with tempfile.TemporaryDirectory() as reports:
        report = Path(reports) / "report.xml"
        command = [python, "-m", "pytest", "-q", "-p", "hack.langgraph_plugin", f"--junitxml={report}", *extra]
        subprocess.run(command, cwd=folder, env=environment, check=False)
        return read(report)


def read(report: Path) -> dict[str, str]:
    """Return how each test of a report of pytest ended."""
    ended = {}
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  (pytest wrote it a moment ago)
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        ended[f"{case.get('classname')}::{case.get('name')}"] = kinds[0] if kinds else "passed"
    return ended


def main() -> int:
    """Run both and compare; the exit status is 1 where a runner's saver fails what the library's passes."""
    parser = argparse.ArgumentParser(prog="python -m hack.langgraph_tests", description=__doc__)
    parser.add_argument("folder", type=Path, help="libs/langgraph or libs/checkpoint-postgres of a checkout")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the tests")
    parser.add_argument("pytest", nargs=argparse.REMAINDER, help="passed to pytest")
    options = parser.parse_args()
    with start_server() as server:
        uri = f"postgres://postgres:postgres@127.0.0.1:{server.port}/"
        ended = {
            saver: run(options.python, options.folder, uri, saver, options.pytest) for saver in ("library", "runner")
        }
    for saver, cases in ended.items():
        counts = {kind: [*cases.values()].count(kind) for kind in sorted({*cases.values()})}
        print(f"{saver}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}")
    worse = sorted(name for name, how in ended["library"].items() if how == "passed" != ended["runner"].get(name))
    print("\n".join(["with a runner's saver alone these do not pass:", *worse] if worse else ["none is worse"]))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
