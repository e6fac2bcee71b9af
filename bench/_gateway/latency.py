"""From a token in a graph's node to its client, at many streams at once, beside a bare way through PostgreSQL.

The bare way is INSERT, NOTIFY and COMMIT in one statement, LISTEN, and a WebSocket, with the same window and the same
rate; it knows no rights, order or resumption. Producers are one process, clients another. Beside the delays: the
write-ahead log that a token costs.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence

import psycopg

from agentic_runner.execution.tracking import STREAM_MODES
from bench._gateway.stalled import percentile
from bench._gateway.watchers import Watcher, close_watchers, open_watchers
from bench._gateway.world import World, running_floor, watch_path

_SAID = re.compile(rb"@(\d+\.\d+)@")
SECONDS = 20


def read_wal(dsn: str) -> int:
    """Return the position of the write-ahead log, in bytes."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


async def measure(
    kind: str, dsn: str, url: str, sessions: dict[str, str], paths: Sequence[str], token: str, rate: float
) -> tuple[list[float], float]:
    """Return the delays in milliseconds, and the bytes of write-ahead log a token."""
    delays: list[float] = []
    count = int(SECONDS * rate)
    wanted = count * len(sessions)
    is_complete = asyncio.Event()

    def take(watcher: Watcher, payload: bytes) -> None:  # noqa: ARG001
        now = time.time()
        delays.extend(1000 * (now - float(said)) for said in _SAID.findall(payload))
        if len(delays) >= wanted:
            is_complete.set()

    watchers = await open_watchers(url, paths, token=token, on_frame=take)
    with psycopg.connect(dsn, autocommit=True) as conn:
        # Whole pages after a checkpoint would be counted at random.
        conn.execute("CHECKPOINT")
    before = read_wal(dsn)
    command = [sys.executable, "-m", "bench._gateway.producers", kind, dsn, str(count), str(rate)]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    await process.communicate(json.dumps(sessions).encode())
    if process.returncode:
        raise SystemExit(f"the streams of kind {kind!r} failed")
    async with asyncio.timeout(60):
        await is_complete.wait()
    wal = (read_wal(dsn) - before) / wanted
    close_watchers(watchers)
    if len(delays) != wanted:
        raise SystemExit(f"{len(delays)} tokens came of {wanted}")
    return delays, wal


async def run(world: World, streams: int = 200, rate: float = 5.0) -> bool:
    """Print the figures; return whether the bounds hold."""
    dsn = world.database.dsn
    world.database.execute("CREATE TABLE IF NOT EXISTS bench_floor (session text, texts text)")
    print(f"{streams} streams at {rate:g} tokens a second, {SECONDS} s each")
    print(f"{'':<42} {'p50':>9} {'p99':>9} {'WAL a token':>12}")
    names = {f"s-{number}": "" for number in range(streams)}
    with running_floor("listen", dsn) as (address, _):
        bare, wal = await measure("bare", dsn, address, names, [f"/{name}" for name in names], "", rate)
    floor = percentile(bare, 0.5), percentile(bare, 0.99)
    print(
        f"{'bare INSERT, NOTIFY, LISTEN, send':<42} {floor[0]:>6.0f} ms {floor[1]:>6.0f} ms {wal:>10.0f} B", flush=True
    )
    holds = True
    for kind, what in (("writer", "get_stream_writer() to the client"), ("model", "a model's token to the client")):
        if kind == "model" and "messages" not in STREAM_MODES:
            continue
        async with world.open_store() as store:
            sessions = await world.make_sessions(store, f"latency-{kind}", streams)
        paths = [watch_path(name) for name in sessions]
        delays, wal = await measure(kind, dsn, world.gateway.address, sessions, paths, world.token, rate)
        p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
        ratios = p50 / floor[0], p99 / floor[1]
        print(
            f"{what:<42} {p50:>6.0f} ms {p99:>6.0f} ms {wal:>10.0f} B"
            f"   {ratios[0]:.2f} and {ratios[1]:.2f} of the bare",
            flush=True,
        )
        holds = holds and p50 <= 150 and p99 <= 400 and ratios[0] <= 1.25
    print("wanted: p50 at most 150 ms and 1.25 of the bare, p99 at most 400 ms")
    return holds
