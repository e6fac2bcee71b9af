"""Memory of a connection on which nothing happens: the gateway's beside bare uvicorn's.

Each connection of the gateway is somebody who was let in and follows a session, of ten; on the bare server nobody is
asked anything. What the kernel holds for the sockets is the same for both, and not counted.
"""

import asyncio
import resource

from bench._gateway.processes import read_memory
from bench._gateway.watchers import Watcher, close_watchers, open_watchers
from bench._gateway.world import World, running_floor, watch_path

SESSIONS = 10
# Each takes a descriptor on both ends; some are for everything else.
SPARE = 1000
LIMIT_KIB = 40.0


async def measure(pid: int, url: str, paths: list[str], token: str, counts: list[int]) -> list[float]:
    """Return the KiB that a connection takes with so many of them, by what they add to those of a first hundred."""
    watchers: list[Watcher] = await open_watchers(url, paths[:100], token=token)
    await asyncio.sleep(2)
    before = read_memory(pid)
    found = []
    for count in counts:
        watchers += await open_watchers(url, paths[len(watchers) : 100 + count], token=token)
        await asyncio.sleep(2)
        found.append((read_memory(pid) - before) / count / 1024)
    close_watchers(watchers)
    return found


async def run(world: World, most: int = 8000) -> bool:
    """Print the figures; return whether the bound holds."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    counts = [1000, min(most, soft - SPARE)]
    async with world.open_store() as store:
        names = list(await world.make_sessions(store, "idle", SESSIONS))
    paths = [watch_path(names[number % SESSIONS]) for number in range(100 + counts[-1])]
    ours = await measure(world.gateway.process.pid, world.gateway.address, paths, world.token, counts)
    with running_floor("idle") as (address, pid):
        bare = await measure(pid, address, ["/"] * len(paths), "", counts)
    print(f"{'connections':>11} {'gateway':>10} {'bare uvicorn':>13}")
    for count, mine, its in zip(counts, ours, bare, strict=True):
        print(f"{count:>11,} {mine:>6.1f} KiB {its:>9.1f} KiB")
    print(f"wanted: at most {LIMIT_KIB:.0f} KiB a connection")
    return max(ours) <= LIMIT_KIB
