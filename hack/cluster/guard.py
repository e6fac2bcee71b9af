"""Ends the processes of a folder when the process that holds the other end of its standard input is gone.

Tests and benchmarks start control planes; a test run that is killed cannot clean up after itself, and
nothing may go on running then. Usage: `python -m hack.cluster.guard FOLDER`, with a pipe as input.
"""

import signal
import sys
from pathlib import Path

from hack.cluster.processes import Processes


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    Processes(Path(sys.argv[1])).kill_all()


if __name__ == "__main__":
    main()
