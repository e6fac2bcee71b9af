"""Run the benchmarks one by one: ``python -m bench [NAME...]``. Alone on the machine, or the figures say nothing."""

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the benchmarks by name."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    """Run those named, or all; the exit status is the first that is not 0."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names())} (all where none is given)")
    wanted = parser.parse_args().names or names()
    if unknown := sorted(set(wanted) - set(names())):
        parser.error(f"unknown benchmark {unknown[0]!r}: expected one of {', '.join(names())}")
    first = 0
    for name in wanted:
        print(f"==> {name}", flush=True)
        status = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=FOLDER.parent, check=False).returncode
        first = first or status
    return first


if __name__ == "__main__":
    sys.exit(main())
