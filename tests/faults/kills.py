"""Runners killed without warning at random moments, and what a counter outside says of it afterwards."""

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, until
from tests.faults.counter import count_started, find_repeated
from tests.support.apiclient import sessions_path
from tests.support.process_kubelet import PodProcess

STEPS = 6
# A process takes about as long as this from its start to its question, or from the answer to its end.
LIFE_SECONDS = 0.8
# The Job controller waits ten seconds before the pod after a failed one, then twenty, …
KILLS_A_SESSION = 2
AT_ONCE = 24


@dataclass
class Figures:
    """What was done, and what came of it."""

    kills: int = 0
    sessions: int = 0
    processes: int = 0
    saved_again: list[tuple[str, int, str]] = field(default_factory=list)
    """What was done in super-steps that were saved already."""
    unfinished_again: int = 0
    worst_of_a_session: int = 0
    """How many super-steps a session repeated beyond one for each of its kills; 0 or less."""
    results: Counter[int] = field(default_factory=Counter)
    """How many sessions have so many ends in the database."""
    seconds: float = 0

    @property
    def is_right(self) -> bool:
        return not self.saved_again and self.worst_of_a_session <= 0 and self.results == {1: self.sessions}

    def lines(self) -> list[str]:
        return [
            f"{self.kills} SIGKILLs over {self.sessions} sessions and {self.processes} processes, {self.seconds:.0f} s",
            f"completed super-steps that ran again: {len(self.saved_again)}",
            f"unfinished super-steps that ran again: {self.unfinished_again}, at most one a kill: "
            + ("yes" if self.worst_of_a_session <= 0 else f"no, {self.worst_of_a_session} more in one session"),
            f"results: exactly one in {self.results[1]} of {self.sessions} sessions",
        ]


@dataclass
class _Killing:
    bed: Bed
    dice: random.Random
    left: int
    killed: Counter[str] = field(default_factory=Counter)
    met: set[PodProcess] = field(default_factory=set)

    async def live(self, name: str) -> None:
        """Start a session, kill its runners at random moments, answer its question, and see it end."""
        await self.bed.start("counted", name, inputs={"count": STEPS, "seconds": 0.1}, retries=10)
        killing = asyncio.create_task(self._kill(name))
        try:
            await until(lambda: self.bed.phase(name) is Phase.WAITING_FOR_INPUT, what=f"{name} asks", seconds=240)
            (question,) = (await self.bed.status(name))["interrupts"]
            answer = {"spec": {"responses": [{"interruptId": question["id"], "value": len(name)}]}}
            await self.bed.client.patch(sessions_path(self.bed.namespace, name), answer)
            status = await self.bed.wait_phase(name, Phase.COMPLETED, seconds=240)
        finally:
            killing.cancel()
        half = STEPS // 2
        expected = [*map(str, range(1, half + 1)), f"answer {len(name)}", *map(str, range(half + 2, STEPS + 1))]
        assert status["result"]["done"] == expected, status["result"]

    async def _kill(self, name: str) -> None:
        while self.left > 0 and self.killed[name] < KILLS_A_SESSION:
            alive = [p for p in self.bed.kubelet.alive(name, self.bed.namespace) if p not in self.met]
            for process in alive:
                self.met.add(process)
                await asyncio.sleep(self.dice.uniform(0, LIFE_SECONDS))
                if process.is_alive and self.left > 0:
                    self.left -= 1
                    self.killed[name] += 1
                    process.send(signal.SIGKILL)
            await asyncio.sleep(0.02)


async def kill_runners(bed: Bed, dice: random.Random, kills: int) -> Figures:
    """Kill so many runners, over as many sessions as it takes; check everything that must hold."""
    began = time.monotonic()
    killing = _Killing(bed, dice, kills)
    names = (f"s-{number}" for number in itertools.count(1))
    started: list[str] = []

    async def work() -> None:
        while killing.left > 0:
            name = next(names)
            started.append(name)
            await killing.live(name)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(AT_ONCE, max(1, kills // KILLS_A_SESSION))):
            tasks.create_task(work())
    await bed.wait_rest()
    await bed.check()
    killed = {f"project-{bed.namespace}:session-{name}": killing.killed[name] for name in started}
    again: Counter[str] = Counter()
    for (thread, _), count in count_started(bed.database).items():
        again[thread] += count - 1
    finals = "SELECT session_uid, count(*) FROM test_ends WHERE status IN ('completed', 'failed', 'stopped') GROUP BY 1"
    return Figures(
        kills=kills,
        sessions=len(started),
        processes=sum(1 for process in bed.kubelet.processes if process.session in started),
        saved_again=find_repeated(bed.database),
        unfinished_again=sum(again.values()),
        worst_of_a_session=max(again[thread] - number for thread, number in killed.items()),
        results=Counter(count for _, count in bed.database.execute(finals)),
        seconds=time.monotonic() - began,
    )
