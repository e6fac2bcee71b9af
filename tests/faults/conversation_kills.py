"""Runners of conversations killed without warning: how often each turn's input acted, by a counter outside.

The graph has one super-step a turn. It appends its number to its state and acts outside: the state shows an input that
was given twice, a saved super-step that ran again, and an input that was lost. The bed checks that each turn ends once.
"""

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.bed import Bed
from tests.faults.counter import count_started
from tests.faults.talks import ONE_STEP, close, open_conversation, say, wait_idle
from tests.support.process_kubelet import PodProcess

TURNS = 4
# From a turn's arrival to its end; kills fall anywhere in it, and beyond.
LIFE_SECONDS = 1.2
KILLS_A_TURN = 1
# The Job controller waits ten seconds before the pod after a failed one, then twenty, …: few kills fall on many.
KILLS_A_CONVERSATION = 2
AT_ONCE = 12


@dataclass
class Figures:
    """What was done, and what came of it."""

    kills: int = 0
    conversations: int = 0
    turns: int = 0
    given_twice: list[str] = field(default_factory=list)
    """Turns whose input is in the state more than once."""
    lost: list[str] = field(default_factory=list)
    """Turns whose input is not in the state, or which did not complete."""
    acted_again: int = 0
    """How often an unfinished super-step ran again."""
    seconds: float = 0

    @property
    def is_right(self) -> bool:
        return not (self.given_twice or self.lost)

    def lines(self) -> list[str]:
        return [
            f"{self.kills} SIGKILLs in {self.turns} turns in {self.conversations} conversations, {self.seconds:.0f} s",
            f"inputs that were given twice: {len(self.given_twice)} {self.given_twice or ''}",
            f"turns that were lost: {len(self.lost)} {self.lost or ''}",
            f"unfinished super-steps that ran again: {self.acted_again}",
        ]


@dataclass
class _Killing:
    bed: Bed
    dice: random.Random
    left: int
    figures: Figures
    met: set[PodProcess] = field(default_factory=set)

    async def hold(self, name: str) -> None:
        """Hold a conversation whose turns come one by one or in a queue, while its runners are killed."""
        await open_conversation(self.bed, "counted", name, retries=10, keepWarmSeconds=self.dice.choice([0, 60]))
        killing = asyncio.create_task(self._kill(name))
        try:
            for number in range(1, TURNS + 1):
                await say(self.bed, name, f"t{number}", {**ONE_STEP, "seconds": 0.1})
                if self.dice.random() < 0.7:
                    await wait_idle(self.bed, name, turns=number, seconds=240)
            status = await wait_idle(self.bed, name, turns=TURNS, seconds=240)
        finally:
            killing.cancel()
        await close(self.bed, name)
        self._count(name, status)

    def _count(self, name: str, status: dict[str, Any]) -> None:
        done = Counter(status["result"]["done"])
        phases = {turn["name"]: turn["phase"] for turn in status["turns"]}
        for number in range(1, TURNS + 1):
            turn = f"{name}/t{number}"
            if done[str(number)] == 0 or phases.get(f"t{number}") != "Completed":
                self.figures.lost.append(turn)
        extra = sum(done.values()) - TURNS
        self.figures.given_twice += [f"{name}: {extra} more than its turns"] if extra > 0 else []

    async def _kill(self, name: str) -> None:
        killed = 0
        while self.left > 0 and killed < KILLS_A_TURN * TURNS:
            for process in self.bed.kubelet.alive(name, self.bed.namespace):
                if process in self.met:
                    continue
                self.met.add(process)
                await asyncio.sleep(self.dice.uniform(0, LIFE_SECONDS))
                if process.is_alive and self.left > 0:
                    self.left -= 1
                    killed += 1
                    process.send(signal.SIGKILL)
            await asyncio.sleep(0.02)


async def kill_conversations(bed: Bed, dice: random.Random, kills: int) -> Figures:
    """Kill so many runners, over as many conversations as it takes; check everything that must hold."""
    began = time.monotonic()
    figures = Figures(kills=kills)
    killing = _Killing(bed, dice, kills, figures)
    names = (f"k-{number}" for number in itertools.count(1))
    held: list[str] = []

    async def work() -> None:
        while killing.left > 0:
            name = next(names)
            held.append(name)
            await killing.hold(name)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(AT_ONCE, max(1, kills // KILLS_A_CONVERSATION))):
            tasks.create_task(work())
    await bed.wait_rest()
    await bed.check()
    rows = bed.database.execute("SELECT session_name || '/' || name FROM session_turns WHERE phase = 'completed'")
    ended = {str(turn) for (turn,) in rows}
    figures.lost += [f"{n}/t{t}: no row" for n in held for t in range(1, TURNS + 1) if f"{n}/t{t}" not in ended]
    figures.acted_again = sum(count - 1 for count in count_started(bed.database).values())
    figures.conversations, figures.turns = len(held), len(held) * TURNS
    figures.seconds = time.monotonic() - began
    return figures
