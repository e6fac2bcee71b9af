"""The fan-out example, run in this process, whole and interrupted."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from tests.support.examples import load_example
from tests.support.waiting import PATIENCE_SECONDS

CONFIG: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    monkeypatch.setenv("WORKSPACE_DIR", str(tmp_path))
    with load_example("fanout") as module:
        yield module


def read_journal(folder: Path) -> Counter[str]:
    return Counter(line.partition(" run ")[0] for line in (folder / "journal").read_text().splitlines())


async def test_runs_all_parts_once_in_waves(example: ModuleType, tmp_path: Path) -> None:
    result = await example.graph.ainvoke({"parts": 7, "wave_size": 3, "seconds": 0})
    assert result == {"summary": {"parts": 7, "waves": 3, "numbers": 7000, "primes": 900}}
    assert read_journal(tmp_path) == {f"part {part}": 1 for part in range(7)}


async def test_reports_progress_after_each_wave(example: ModuleType) -> None:
    inputs = {"parts": 4, "wave_size": 2, "seconds": 0}
    reports = [part async for part in example.graph.astream(inputs, stream_mode="custom")]
    assert [report["progress"] for report in reports] == [0, 0.5, 1.0, 1.0]


async def test_parts_that_were_done_do_not_run_again(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = example.builder.compile(checkpointer=InMemorySaver())
    second_wave = asyncio.Event()
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        """Let the whole first wave and two parts of the second pass, and hold the third."""
        if second_wave.is_set() or len(read_lines(tmp_path)) < 5:
            await real_sleep(0)
            return
        second_wave.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(example.asyncio, "sleep", sleep)
    inputs = {"parts": 9, "wave_size": 3, "seconds": 1}
    run = asyncio.create_task(graph.ainvoke(inputs, CONFIG, durability="sync"))
    await asyncio.wait_for(second_wave.wait(), PATIENCE_SECONDS)
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run
    before = read_journal(tmp_path)
    assert 3 <= before.total() < 9

    monkeypatch.setenv("RUN", "2")
    result = await graph.ainvoke(None, CONFIG, durability="sync")
    assert result["summary"]["parts"] == 9
    assert result["summary"]["primes"] == 1117
    assert read_journal(tmp_path) == {f"part {part}": 1 for part in range(9)}


def read_lines(folder: Path) -> list[str]:
    journal = folder / "journal"
    return journal.read_text().splitlines() if journal.exists() else []
