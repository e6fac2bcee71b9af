"""What ``pgbench`` loses on the same server beside a thousand sessions that somebody watches, idle and talking."""

import asyncio
import re

from bench._gateway.watchers import close_watchers, open_watchers
from bench._gateway.world import World, append, watch_path
from tests.support.postgres_server import find_binaries

SESSIONS = 1000
SECONDS = 10
ROUNDS = 3
# Rows a second of all sessions together, while they talk.
ROWS = 50


async def run_pgbench(dsn: str, *arguments: str) -> str:
    """Run pgbench to its end; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        str(find_binaries() / "pgbench"),
        *arguments,
        dsn,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise SystemExit(f"pgbench: {err.decode()}")
    return out.decode()


async def measure(dsn: str) -> float:
    """Return pgbench's transactions a second."""
    out = await run_pgbench(dsn, "-n", "-T", str(SECONDS), "-c", "4", "-j", "1")
    found = re.search(r"tps = ([0-9.]+)", out)
    assert found is not None, out
    return float(found[1])


async def run(world: World) -> bool:
    """Print the figures; return whether the bound holds."""
    dsn = world.database.dsn
    await run_pgbench(dsn, "-i", "-q", "-s", "10")
    async with world.open_store() as store:
        sessions = await world.make_sessions(store, "watched", SESSIONS)
        uids = list(sessions.values())

        async def talk() -> None:
            number = 0
            while True:
                await append(store, uids[number % SESSIONS], ["a word "])
                number += 1
                await asyncio.sleep(1 / ROWS)

        alone, idle, talking = [], [], []
        for _ in range(ROUNDS):
            alone.append(await measure(dsn))
            watchers = await open_watchers(
                world.gateway.address, [watch_path(name) for name in sessions], token=world.token
            )
            idle.append(await measure(dsn))
            task = asyncio.create_task(talk())
            talking.append(await measure(dsn))
            task.cancel()
            close_watchers(watchers)
            for watcher in watchers:
                watcher.last = 0
            # Streams that were left end within a moment; the next round begins without them.
            await asyncio.sleep(10)
            world.database.execute("DELETE FROM session_events")
    middle = ROUNDS // 2
    print(f"pgbench alone: {sorted(alone)[middle]:,.0f} transactions a second (medians of three rounds in turns)")
    kept = {}
    for what, values in (("that are idle", idle), (f"that get {ROWS} rows a second", talking)):
        kept[what] = sorted(one / other for one, other in zip(values, alone, strict=True))[middle]
        print(f"beside {SESSIONS:,} watched sessions {what}: {sorted(values)[middle]:,.0f}, {kept[what]:.2f} of that")
    print("wanted: at least 0.90 beside those that are idle")
    return kept["that are idle"] >= 0.9
