"""A thousand connections that are broken while messages come: each goes on where it was, without a gap or repetition.

Clients of ten sessions are cut without a word at random moments, and come back with the number of their last message;
the first message that does not follow ends the benchmark (see ``watchers``).
"""

import asyncio
import random
import time

from bench._gateway.watchers import Watcher, close_watchers, open_watcher, until_all_have
from bench._gateway.world import World, append, watch_path

SESSIONS = 10
CLIENTS = 100
RECONNECTS = 1000
EVERY = 0.1


async def run(world: World, seed: int = 1) -> bool:
    """Print the figures; return whether each client has every message once."""
    dice = random.Random(seed)
    done = asyncio.Event()
    times: list[float] = []
    async with world.open_store() as store:
        sessions = await world.make_sessions(store, "reconnect", SESSIONS)
        names = list(sessions)

        async def write(uid: str) -> int:
            count = 0
            while not done.is_set():
                await append(store, uid, ["x" * 100] * 5)
                count += 5
                await asyncio.sleep(EVERY)
            return count

        async def open_one(number: int, after: int) -> Watcher:
            path = watch_path(names[number % SESSIONS], after)
            return await open_watcher(world.gateway.address, path, token=world.token, after=after)

        writing = [asyncio.create_task(write(uid)) for uid in sessions.values()]
        watchers = [await open_one(number, 0) for number in range(CLIENTS)]
        for _ in range(RECONNECTS):
            number = dice.randrange(CLIENTS)
            watchers[number].abort()
            await watchers[number].closed
            begun = time.perf_counter()
            watchers[number] = await open_one(number, watchers[number].last)
            times.append(time.perf_counter() - begun)
        done.set()
        counts = await asyncio.gather(*writing)
        for number, watcher in enumerate(watchers):
            await until_all_have([watcher], counts[number % SESSIONS])
        close_watchers(watchers)
    times.sort()
    print(
        f"{RECONNECTS:,} reconnects of {CLIENTS} clients amid {sum(counts):,} messages of {SESSIONS} sessions:"
        f" none lost, none twice; a reconnect takes {1000 * times[len(times) // 2]:.0f} ms (p50),"
        f" {1000 * times[int(len(times) * 0.99)]:.0f} ms (p99)"
    )
    return True
