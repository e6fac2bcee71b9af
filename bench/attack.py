"""Ten minutes of attack beside other tenants: each of their sessions ends once, counters are exact, nothing is left.

Two operators with leader election, a real API server, Job controller and PostgreSQL, runners as processes. Runners are
killed, pods deleted, labels taken off; the database is stopped twice and each leader killed in its turn. An attacker
in a namespace of its own forges statuses with its runners' tokens, Jobs and finalizers, and starts sessions with bad
inputs.

    python -m bench.attack [--minutes 10] [--sessions 70] [--namespaces 4] [--seed 1]
"""

import argparse
import asyncio
import sys

from tests.faults.attack import Report, attack
from tests.faults.bed import seeded
from tests.faults.standalone import open_standalone_bed


async def run(options: argparse.Namespace) -> Report:
    """Attack, and return what came of it."""
    async with open_standalone_bed() as bed:
        return await attack(
            bed,
            seeded(options.seed),
            seconds=60 * options.minutes,
            sessions=options.sessions,
            namespaces=options.namespaces,
        )


def main() -> int:
    """Print the figures; return 1 where a session did not end as it must, or anything forged was taken or left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--sessions", type=int, default=70)
    parser.add_argument("--namespaces", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report = asyncio.run(run(options))
    print("\n".join(report.lines()))
    is_right = report.tenants == {"Completed": options.sessions} and not report.taken and not report.wrong
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
