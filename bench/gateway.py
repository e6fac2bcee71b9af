"""The gateway beside bare servers, as ratios in one run: ``python -m bench.gateway [PART...]``, ``make bench-gateway``.

Each part starts an API server, a PostgreSQL and a gateway of its own, and takes a few minutes at most. The exit status
is 1 where a bound does not hold. Alone on the machine, or the figures say nothing: each part prints the load before it.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

from bench._gateway import beside_pgbench, creation, fanout, idle, latency, listing, reconnects, stalled
from bench._gateway.processes import describe_load
from bench._gateway.world import World, open_world

PARTS: Final[dict[str, tuple[Callable[[World], Awaitable[bool]], str]]] = {
    "fanout": (fanout.run, "messages to 1, 100 and 1,000 clients, beside websockets.broadcast"),
    "idle": (idle.run, "memory of a connection, beside bare uvicorn"),
    "stalled": (stalled.run, "what a client that takes nothing does to the others"),
    "latency": (latency.run, "from a token in a node to its client, beside a bare way through PostgreSQL"),
    "reconnects": (reconnects.run, "a thousand connections that are broken amid messages"),
    "creation": (creation.run, "sessions that are created a second, beside the bare API server"),
    "listing": (listing.run, "pages of 5,000 sessions that the API server selects, beside reading all of them"),
    "pgbench": (beside_pgbench.run, "what pgbench loses beside a thousand watched sessions"),
}


def main() -> int:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all where none is given)")
    wanted = parser.parse_args().parts or list(PARTS)
    if unknown := sorted(set(wanted) - set(PARTS)):
        parser.error(f"unknown part {unknown[0]!r}: expected one of {', '.join(PARTS)}")
    missed = []
    for name in wanted:
        run, what = PARTS[name]
        print(f"\n==> {name}: {what} ({describe_load()})", flush=True)
        with open_world() as world:
            if not uvloop.run(_as_coroutine(run, world)):
                missed.append(name)
    if missed:
        print(f"\nbounds that do not hold: {', '.join(missed)}")
    return 1 if missed else 0


async def _as_coroutine(run: Callable[[World], Awaitable[bool]], world: World) -> bool:
    return await run(world)


if __name__ == "__main__":
    sys.exit(main())
