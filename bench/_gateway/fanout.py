"""Messages to many clients of one session: the gateway beside a bare ``websockets.broadcast``.

The gateway reads the rows from PostgreSQL, makes frames, and holds each client to its rights, order and resumption; the
bare server sends texts that lie ready. Both are given as many messages as their clients take, a few batches ahead, in
turns; messages a second and processor time a message are of the server's process alone.
"""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from websockets.asyncio.client import connect

from bench._gateway.processes import read_cpu_seconds
from bench._gateway.watchers import Watcher, close_watchers, open_watchers, until_all_have
from bench._gateway.world import World, append, running_floor, watch_path

TEXT = "The quick brown fox jumps over the lazy dog, and then some."
BATCH = 100
AHEAD = 3
ROUNDS = 3
SECONDS = 4.0

Feed = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Rate:
    """Messages that arrived a second, and the server's processor time for each, in microseconds."""

    a_second: float
    cpu: float


async def measure(watchers: Sequence[Watcher], pid: int, feed: Feed, seconds_long: float) -> Rate:
    """Feed messages as fast as all clients take them, for a while."""
    first = watchers[0].last
    # The first batches wake caches and buffers.
    for target in (first + BATCH, first + 2 * BATCH):
        await feed(BATCH)
        await until_all_have(watchers, target)
    begun, cpu = time.perf_counter(), read_cpu_seconds(pid)
    start = watchers[0].last
    fed = start
    while time.perf_counter() - begun < seconds_long:
        await feed(BATCH)
        fed += BATCH
        await until_all_have(watchers, fed - (AHEAD - 1) * BATCH)
    await until_all_have(watchers, fed)
    seconds, used = time.perf_counter() - begun, read_cpu_seconds(pid) - cpu
    messages = len(watchers) * (fed - start)
    return Rate(messages / seconds, 1e6 * used / messages)


async def run(world: World, counts: Sequence[int] = (1, 100, 1000)) -> bool:
    """Print the figures; return whether the bounds hold."""
    print(f"{'clients':>8} {'gateway':>12} {'bare':>12} {'ratio':>7}   {'CPU, gateway':>13} {'bare':>9} {'ratio':>7}")
    holds = True
    async with world.open_store() as store:
        for count in counts:
            (session, uid), *_ = (await world.make_sessions(store, f"fanout-{count}", 1)).items()
            ours, bare = [], []
            with running_floor("broadcast") as (address, floor):

                async def feed_ours(size: int, uid: str = uid) -> None:
                    await append(store, uid, [TEXT] * size)

                async with connect(f"{address.replace('http', 'ws')}/control", proxy=None) as control:

                    async def feed_bare(size: int) -> None:
                        await control.send(json.dumps([size, TEXT]))

                    mine = await open_watchers(world.gateway.address, [watch_path(session)] * count, token=world.token)
                    its = await open_watchers(address, ["/"] * count)
                    for _ in range(ROUNDS):
                        ours.append(await measure(mine, world.gateway.process.pid, feed_ours, SECONDS))
                        bare.append(await measure(its, floor, feed_bare, SECONDS))
                    close_watchers([*mine, *its])
            rate = sorted(one.a_second / other.a_second for one, other in zip(ours, bare, strict=True))[ROUNDS // 2]
            cost = sorted(one.cpu / other.cpu for one, other in zip(ours, bare, strict=True))[ROUNDS // 2]
            best, bare_best = max(ours, key=lambda each: each.a_second), max(bare, key=lambda each: each.a_second)
            print(
                f"{count:>8} {best.a_second:>10,.0f}/s {bare_best.a_second:>10,.0f}/s {rate:>7.2f}"
                f"   {best.cpu:>10.1f} µs {bare_best.cpu:>6.1f} µs {cost:>7.2f}",
                flush=True,
            )
            holds = holds and rate >= 0.85 and cost <= 1.2
    print("wanted: at least 0.85 of the messages a second, at most 1.2 of the processor time (medians of three)")
    return holds
