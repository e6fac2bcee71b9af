"""What one client that takes nothing does to the others: their delays with it and without.

A row of 4 KiB is written each 10 ms, so that the stalled client's buffers fill within a moment. The delay is from
before the row's INSERT to its message.
"""

import asyncio
import json
import time

from bench._gateway.watchers import Watcher, close_watchers, open_watchers, until_all_have
from bench._gateway.world import World, append, watch_path

CLIENTS = 50
ROWS = 1500
EVERY = 0.01
FILLER = "x" * 4096
ROUNDS = 3


def percentile(values: list[float], share: float) -> float:
    """Return a percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def measure(world: World, session: str, uid: str, *, is_stalled: bool) -> tuple[float, float]:
    """Return the p50 and p99 of the delays, in milliseconds."""
    delays: list[float] = []

    def take(watcher: Watcher, payload: bytes) -> None:  # noqa: ARG001
        sent = json.loads(payload)["data"]["metadata"]["data"]["at"]
        delays.append(1000 * (time.time() - sent))

    async with world.open_store() as store:
        last = await store.events.fetch_last(uid)
        path = watch_path(session, last)
        watchers = await open_watchers(
            world.gateway.address, [path] * CLIENTS, token=world.token, after=last, on_frame=take
        )
        stalled = await open_watchers(world.gateway.address, [path] * int(is_stalled), token=world.token, after=last)
        for watcher in stalled:
            watcher.pause()
        begun = time.perf_counter()
        for number in range(ROWS):
            await asyncio.sleep(max(0.0, begun + number * EVERY - time.perf_counter()))
            await append(store, uid, [{"at": time.time(), "filler": FILLER}])
        await until_all_have(watchers, last + ROWS)
        close_watchers([*watchers, *stalled])
    return percentile(delays, 0.5), percentile(delays, 0.99)


async def run(world: World) -> bool:
    """Print the figures; return whether the bound holds."""
    async with world.open_store() as store:
        ((session, uid),) = (await world.make_sessions(store, "stalled", 1)).items()
    print(f"{'':>24} {'p50':>9} {'p99':>9}")
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(ROUNDS):
        for is_stalled, values in found.items():
            values.append(await measure(world, session, uid, is_stalled=is_stalled))
    for is_stalled, values in found.items():
        p50, p99 = sorted(values, key=lambda each: each[1])[ROUNDS // 2]
        print(f"{'one of them stalled' if is_stalled else 'all of them read':>24} {p50:>6.1f} ms {p99:>6.1f} ms")
    ratio = sorted(found[True][i][1] / found[False][i][1] for i in range(ROUNDS))[ROUNDS // 2]
    print(f"the others' p99: {ratio:.2f} times; wanted: at most 1.2 (medians of three)")
    return ratio <= 1.2
