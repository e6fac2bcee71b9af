"""Turns of conversations on the runner's bench: what an operator does about them, for tests without one."""

from dataclasses import dataclass, field
from typing import Any

from agentic_core.names import job_name
from tests.support.runner import Json, RunnerBench, Session
from tests.support.waiting import wait_for


@dataclass
class Talk:
    """A conversation: its session, and the turns that were put on so far."""

    session: Session
    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, **turn: Any) -> str:
        """Append a turn to the session, as a person does; return its name."""
        name = f"t{len(self.names) + 1:04}"
        self.names.append(name)
        self.session.patch({"spec": {"turns": [*self._listed(), {"name": name, **turn}]}})
        return name

    def put_on(self, name: str, *, run: int | None = None, **current: Any) -> int:
        """Say that a turn is on, as the operator does; with ``run`` for a new Job, else for the pod that is there."""
        self.count += 1
        turn = {"name": name, "number": self.count, "startedAt": "2026-03-01T12:00:00Z", **current}
        status: Json = {"turn": turn, "turnCount": self.count}
        if run is not None:
            status |= {"run": run, "phase": "Creating", "jobName": job_name(self.session.name, run)}
        self.session.set_status(**status)
        return self.count

    def begin(self, run: int | None = None, **turn: Any) -> int:
        """Append a turn and put it on; return its number."""
        return self.put_on(self.add(**turn), run=run)

    def settle(self) -> None:
        """Take the turn off that ended, and out of the session, as the operator does."""
        ended = (self.session.status.get("turn") or {}).get("name")
        self.session.set_status(turn=None)
        self.session.patch({"spec": {"turns": [each for each in self._listed() if each["name"] != ended]}})

    def wait_end(self, number: int, *, every: float = 0.05) -> Json:
        """Wait for the end of a turn; return it as the status has it."""
        status = wait_for(
            lambda: self.session.status,
            lambda status: (status.get("turnEnd") or {}).get("number") == number and status["phase"] == "Idle",
            what=f"the end of turn {number}",
            every=every,
        )
        end: Json = status["turnEnd"]
        return end

    def rows(self) -> list[tuple[int, str, Any]]:
        """Return number, phase and output of the rows of its turns."""
        statement = "SELECT number, phase, output FROM session_turns WHERE session_uid = %s ORDER BY number"
        return [
            (number, phase, output)
            for number, phase, output in self.session.bench.database.execute(statement, [self.session.uid])
        ]

    def labels(self) -> list[tuple[str | None, int]]:
        """Return for each turn how many checkpoints that its input was given in the thread has."""
        statement = (
            "SELECT metadata ->> 'agentic_turn', count(*) FROM checkpoints WHERE thread_id = %s AND checkpoint_ns = ''"
            " AND metadata ->> 'source' IN ('input', 'fork') GROUP BY 1 ORDER BY 1"
        )
        return self.session.bench.database.execute(statement, [self.session.thread_id])

    def _listed(self) -> list[Json]:
        turns: list[Json] = self.session.read()["spec"].get("turns") or []
        return turns


def converse(bench: RunnerBench, code: str, **environment: str) -> Talk:
    """Make a conversation on a new project, as the operator leaves it before its first turn."""
    session = bench.session(code, phase=None, spec={"mode": "Conversation"}, **environment)
    session.set_status(phase="Idle")
    return Talk(session)
