"""Runners of conversations killed between a turn's arrival, its first checkpoint, its end and its status.

The operator's part is the test's (``tests.support.turns``): what is killed, and who comes after it, is the runner.
"""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import psycopg

from agentic_core.names import notify_channel
from tests.support.runner import Runner, RunnerBench
from tests.support.turns import Talk, converse

TURNS = 5
KILLS_A_TURN = 2
AT_ONCE = 6
PATIENCE_SECONDS = 240.0

# A turn's node counts outside under the turn's key, once, and without a key, each time that it runs.
_TABLES = """
CREATE TABLE IF NOT EXISTS turn_effects (session text NOT NULL, turn text NOT NULL, PRIMARY KEY (session, turn));
CREATE TABLE IF NOT EXISTS turn_runs (session text NOT NULL, turn text NOT NULL);
"""
_CODE = """
import psycopg

class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    turn: str

def work(state):
    with psycopg.connect(os.environ["COUNTER_DSN"], autocommit=True) as conn:
        key = (os.environ["COUNTER_SESSION"], state["turn"])
        conn.execute("INSERT INTO turn_runs VALUES (%s, %s)", key)
        time.sleep(0.05)
        conn.execute("INSERT INTO turn_effects VALUES (%s, %s) ON CONFLICT DO NOTHING", key)
    return {}

def reply(state):
    time.sleep(0.05)
    return {"log": ["reply " + state["turn"]]}

builder = StateGraph(State)
for node in (work, reply):
    builder.add_node(node)
builder.add_edge(START, "work")
builder.add_edge("work", "reply")
graph = builder.compile()
"""


class Stage(IntEnum):
    """How far a turn was when its process was killed."""

    ARRIVED = 0
    GIVEN = 1
    STORED = 2
    REPORTED = 3

    @property
    def said(self) -> str:
        return ("before its first checkpoint", "after that", "after its end was stored", "after its status")[self]


# How long a process is watched at most from a mark of its turn on, before it is killed.
_LIFE_SECONDS = {Stage.ARRIVED: 1.5, Stage.GIVEN: 0.15, Stage.STORED: 0.0, Stage.REPORTED: 0.05}


@dataclass
class TurnFigures:
    """What was done, and what came of it."""

    kills: Counter[Stage] = field(default_factory=Counter)
    conversations: int = 0
    turns: int = 0
    processes: int = 0
    wrong: list[str] = field(default_factory=list)
    """Inputs, replies, ends and effects that are not there once."""
    runs: int = 0
    """How often the node ran that counts."""
    seconds: float = 0

    @property
    def is_right(self) -> bool:
        return not self.wrong and self.runs <= self.turns + self.kills.total()

    def lines(self) -> list[str]:
        stages = ", ".join(f"{self.kills[stage]} {stage.said}" for stage in Stage)
        what = f"{self.turns} turns of {self.conversations} conversations and {self.processes} processes"
        return [
            f"{self.kills.total()} SIGKILLs ({stages}) over {what}, {self.seconds:.0f} s",
            f"inputs, replies, stored ends and effects by turn that are not there exactly once: {len(self.wrong)}",
            f"runs of the node that counts: {self.runs} for {self.turns} turns",
            *self.wrong[:20],
        ]


class _Budget:
    """How many kills are left, over all threads."""

    def __init__(self, kills: int) -> None:
        self._left = kills
        self._lock = threading.Lock()

    @property
    def is_spent(self) -> bool:
        return self._left <= 0

    def take(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0


class _Conversation:
    """One conversation, its runners, and what kills them."""

    def __init__(self, bench: RunnerBench, dice: random.Random, budget: _Budget, figures: TurnFigures) -> None:
        self._bench = bench
        self._dice = dice
        self._budget = budget
        self._figures = figures
        self._talk: Talk = converse(bench, _CODE, KEEP_WARM_SECONDS="600", COUNTER_DSN=bench.database.dsn)
        self._session = self._talk.session
        self._session.environment["COUNTER_SESSION"] = self._session.name
        self._session.environment["NOTIFY_CHANNEL"] = notify_channel(self._session.uid)
        self._database = psycopg.connect(bench.database.dsn, autocommit=True)
        self._runner: Runner | None = None
        self._run = 0

    def live(self) -> None:
        """Take turns, over all kills, and check what is there in the end."""
        try:
            for number in range(1, TURNS + 1):
                self._take_turn(number)
            self._check()
        finally:
            self._end_runner()
            self._database.close()

    def _take_turn(self, number: int) -> None:
        name = self._talk.add(input={"log": [f"in {number}"], "turn": str(number)})
        if self._is_alive:
            self._talk.put_on(name)
            self._database.execute("SELECT pg_notify(%s, '')", [self._session.environment["NOTIFY_CHANNEL"]])
        else:
            self._run += 1
            self._talk.put_on(name, run=self._run)
            self._start()
        for _ in range(KILLS_A_TURN):
            if self._dice.random() < 0.25 or not self._kill(number):
                break
            if self._find_stage(number) is Stage.REPORTED:
                break
            # As the Job does: another pod of the same run.
            self._start()
        self._await(lambda: self._find_stage(number) is Stage.REPORTED, f"the end of turn {number}")
        end = self._session.status["turnEnd"]
        if end["phase"] != "Completed":
            self._figures.wrong.append(f"{self._session.name}: turn {number} ended as {end}")
        self._talk.settle()

    def _kill(self, number: int) -> bool:
        """Kill the runner at a moment of the turn; False where it ended before, or no kill is left."""
        assert self._runner is not None
        target = self._dice.choice(list(Stage))
        if target is not Stage.ARRIVED:
            self._await(lambda: self._has_reached(number, target), f"turn {number} {target.said}", every=0.001)
        time.sleep(self._dice.uniform(0, _LIFE_SECONDS[target]))
        if not self._is_alive or not self._budget.take():
            return False
        self._runner.signal(signal.SIGKILL)
        self._runner.wait()
        self._figures.kills[self._find_stage(number)] += 1
        return True

    def _has_reached(self, number: int, stage: Stage) -> bool:
        """Return whether a turn has come so far; as fast as that can be seen, to be there before it goes on."""
        if stage is Stage.REPORTED:
            return self._find_stage(number) is stage
        statement = (
            "SELECT 1 FROM session_turns WHERE session_uid = %s AND number::text = %s AND phase = 'completed'"
            if stage is Stage.STORED
            else "SELECT 1 FROM checkpoints WHERE thread_id = %s AND metadata ->> 'agentic_turn' = %s LIMIT 1"
        )
        about = self._session.uid if stage is Stage.STORED else self._session.thread_id
        return self._database.execute(statement, [about, str(number)]).fetchone() is not None

    def _find_stage(self, number: int) -> Stage:
        given, phase = self._database.execute(
            "SELECT EXISTS (SELECT 1 FROM checkpoints WHERE thread_id = %s AND metadata ->> 'agentic_turn' = %s),"
            " (SELECT phase FROM session_turns WHERE session_uid = %s AND number = %s)",
            [self._session.thread_id, str(number), self._session.uid, number],
        ).fetchone() or (False, None)
        if phase == "completed":
            end: dict[str, Any] = self._session.status.get("turnEnd") or {}
            return Stage.REPORTED if end.get("number") == number else Stage.STORED
        return Stage.GIVEN if given else Stage.ARRIVED

    def _await(self, holds: Callable[[], bool], what: str, *, every: float = 0.05) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert self._runner is not None
            if not self._is_alive and not holds():
                raise AssertionError(f"{self._session.name}: the runner ended before {what}:\n{self._runner.output}")
            assert time.monotonic() < deadline, f"{self._session.name}: not in time: {what}\n{self._runner.output}"
            time.sleep(every)

    def _check(self) -> None:
        name, figures = self._session.name, self._figures
        log = Counter(self._session.status["result"]["log"])
        expected = Counter(f"{what} {number}" for number in range(1, TURNS + 1) for what in ("in", "reply"))
        if log != expected:
            figures.wrong.append(f"{name}: its state holds {self._session.status['result']['log']}")
        if [(number, phase) for number, phase, _ in self._talk.rows()] != [
            (number, "completed") for number in range(1, TURNS + 1)
        ]:
            figures.wrong.append(f"{name}: its rows are {self._talk.rows()}")
        if self._talk.labels() != [(str(number), 1) for number in range(1, TURNS + 1)]:
            figures.wrong.append(f"{name}: its inputs are in the thread as {self._talk.labels()}")
        effects = "SELECT count(*) FROM turn_effects WHERE session = %s"
        if self._database.execute(effects, [name]).fetchone() != (TURNS,):
            figures.wrong.append(f"{name}: effects are missing")
        figures.turns += TURNS

    @property
    def _is_alive(self) -> bool:
        return self._runner is not None and self._runner.process.poll() is None

    def _start(self) -> None:
        self._figures.processes += 1
        self._runner = self._session.start(self._run)

    def _end_runner(self) -> None:
        if self._runner is not None and self._is_alive:
            self._runner.signal(signal.SIGKILL)
            self._runner.wait()


def kill_turns(bench: RunnerBench, seed: int, kills: int) -> TurnFigures:
    """Kill so many runners of conversations; return what came of it."""
    with psycopg.connect(bench.database.dsn, autocommit=True) as conn:
        conn.execute(_TABLES)
    figures, budget, began = TurnFigures(), _Budget(kills), time.monotonic()

    def work(index: int) -> None:
        dice = random.Random(seed * 1000 + index)
        while not budget.is_spent:
            figures.conversations += 1
            _Conversation(bench, dice, budget, figures).live()

    workers = min(AT_ONCE, max(1, kills // TURNS))
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, index) for index in range(workers)]:
            done.result()
    counted = "SELECT count(*) FROM turn_runs"
    with psycopg.connect(bench.database.dsn) as conn:
        figures.runs = (conn.execute(counted).fetchone() or (0,))[0]
    figures.seconds = time.monotonic() - began
    return figures
