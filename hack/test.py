"""``make test``: the cluster and the images, then every test in one run with one closing summary."""

import argparse
import os
import subprocess
import sys
import time

from hack.kubectl import ROOT

IMAGES = ("operator", "runner", "postgres", "example-outliers", "example-fanout", "example-agent")


def step(title: str, *command: str) -> int:
    """Run one command with its output shown and say how long it took; return its exit status."""
    print(f"==> {title}", flush=True)
    started = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "PYTHONUNBUFFERED": "1"}).returncode
    print(f"    {title}: {time.monotonic() - started:.0f} s, status {status}", flush=True)
    return status


def main() -> int:
    """Run all tests; the exit status is pytest's, or that of the first step that failed."""
    parser = argparse.ArgumentParser(prog="python -m hack.test", description=__doc__)
    parser.add_argument("--no-cluster", action="store_true", help="only unit and integration tests")
    parser.add_argument("pytest", nargs="*", help="passed to pytest")
    options = parser.parse_args()
    python = sys.executable
    folders = ["tests/unit", "tests/integration"]
    if not options.no_cluster:
        folders.append("tests/e2e")
        for title, command in (
            ("local cluster", (python, "-m", "hack.cluster", "up")),
            ("images", (python, "-m", "hack.images", "build", *IMAGES)),
        ):
            if status := step(title, *command):
                return status
    return step("tests", python, "-m", "pytest", "-q", "--durations=15", "--durations-min=1", *folders, *options.pytest)


if __name__ == "__main__":
    sys.exit(main())
