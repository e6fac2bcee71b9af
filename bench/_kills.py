"""The command of benchmarks that kill: how often, from which seed, what is printed, and when it fails."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from tests.faults.bed import Bed
from tests.faults.counter import define_counted
from tests.faults.standalone import open_standalone_bed


class KillFigures(Protocol):
    """What was done, and what came of it."""

    @property
    def is_right(self) -> bool:
        """Whether nothing is there twice, and nothing is missing."""

    def lines(self) -> list[str]:
        """Return the figures, for people."""


def report_kills(about: str | None, kill: Callable[[int, int], KillFigures]) -> int:
    """Kill as often as the command line says, from its seed; print the figures, and return 1 where they are wrong."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = kill(options.kills, options.seed)
    print("\n".join(figures.lines()))
    return 0 if figures.is_right else 1


def kill_under_operator(kill: Callable[[Bed], Awaitable[KillFigures]]) -> KillFigures:
    """Kill on a bed of its own, with a real operator and the workflow that counts outside."""

    async def run() -> KillFigures:
        async with open_standalone_bed() as bed:
            await bed.operator()
            await define_counted(bed)
            return await kill(bed)

    return asyncio.run(run())
