"""Conversations: no order of passes, runners' words, cancellations and deaths loses, repeats or reorders a turn.

People, runners and the API server are played around the real decision: a runner runs what ``status.turn`` names and
nothing else, stores an end before it tells it, and may die between any two of its steps; the operator may die after any
of its writes, and each of its writes fits one version of the session.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_core.lifecycle import Actor, Phase, is_legal
from agentic_core.names import job_name
from agentic_core.resources import AgenticSession, Interrupt, SessionStatus, Turn, TurnEnd
from agentic_operator.sessions.between_turns import HANDOVER_PATIENCE
from agentic_operator.sessions.children import ObservedJob, ObservedPod
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.observation import Observation, Rules, has_living_run
from agentic_operator.sessions.turn_checks import TurnCheck
from agentic_operator.sessions.turns import find_candidate
from agentic_store.records import TurnPhase, TurnRow
from tests.support.builders import NOW, a_definition, a_session

RULES = Rules()
DEFINITION = a_definition(status={"runnerContract": 3})


@dataclass
class World:
    """A conversation and whoever acts on it."""

    keep_warm: int = 0
    is_database_away: bool = False
    """For the operator: the ends that runners stored are not to be read."""
    now: datetime = NOW
    version: int = 1
    session: AgenticSession = field(init=False)
    jobs: dict[int, ObservedJob] = field(default_factory=dict)
    pods: dict[int, ObservedPod] = field(default_factory=dict)
    ended: dict[int, TurnRow] = field(default_factory=dict)
    """The ends that runners stored, by the turn's number."""
    begun: list[str] = field(default_factory=list)
    """The turns that began, in order."""
    added: list[str] = field(default_factory=list)
    preempting: set[str] = field(default_factory=set)
    records: dict[str, str] = field(default_factory=dict)
    """How each turn ended, as the status first said."""
    acted: Counter[int] = field(default_factory=Counter)
    """How often a runner stored an end of a turn."""

    def __post_init__(self) -> None:
        spec = {"mode": "Conversation", "workflowRef": {"name": "report"}, "keepWarmSeconds": self.keep_warm}
        self.session = a_session().with_spec(**spec).build()

    # -- the API server

    def write(self, status: SessionStatus) -> None:
        old = self.session.status
        if old.phase is not status.phase:
            assert is_legal(old.phase, status.phase or Phase.PENDING), (old.phase, status.phase)
        self.version += 1
        self.session = self.session.model_copy(update={"status": status})
        self.check()

    def change(self, **spec: Any) -> None:
        self.version += 1
        changed = self.session.spec.model_copy(update=spec)
        meta = self.session.metadata.model_copy(update={"generation": self.session.metadata.generation + 1})
        self.session = self.session.model_copy(update={"spec": changed, "metadata": meta})

    def check(self) -> None:
        """Hold the invariants against the status that was just written."""
        status = self.session.status
        running = [each for each in status.turns if not each.is_over]
        if status.turn is None:
            assert running == []
        else:
            assert [(each.name, each.number) for each in running] == [(status.turn.name, status.turn.number)]
        numbers = [each.number for each in status.turns if each.number is not None]
        assert len(set(numbers)) == len(numbers)
        assert max(numbers, default=0) <= (status.turn_count or 0)
        for each in status.turns:
            if each.number is not None and each.name not in self.begun:
                assert each.number == len(self.begun) + 1
                self.begun.append(each.name)
            if each.is_over:
                # A turn ends once.
                assert self.records.setdefault(each.name, each.phase) == each.phase, each.name
                stored = self.ended.get(each.number or 0)
                if stored is not None and each.phase != "Refused":
                    assert stored.phase.value == each.phase.lower(), (each, stored)
            else:
                assert each.name not in self.records, f"{each.name} is on again"
        assert status.phase is not Phase.FAILED

    # -- people

    def add(self, preempt: str | None = None) -> None:
        if len(self.session.spec.turns) >= 64 or (self.session.status.phase or Phase.PENDING).is_final:
            return
        turn = Turn.model_validate({"name": f"t{len(self.added)}", "input": len(self.added), "preempt": preempt})
        self.added.append(turn.name)
        if preempt is not None:
            self.preempting.add(turn.name)
        self.change(turns=(*self.session.spec.turns, turn))

    def cancel(self, which: int) -> None:
        turns = list(self.session.spec.turns)
        if turns:
            index = which % len(turns)
            turns[index] = turns[index].model_copy(update={"cancel": True})
            self.change(turns=tuple(turns))

    # -- the operator

    def observe(self) -> Observation:
        session = self.session
        candidate = find_candidate(session)
        turn = session.status.turn
        seen = Observation(
            definition=DEFINITION,
            jobs=tuple(self.jobs.values()),
            pods=tuple(self.pods.values()),
            turn=TurnCheck(candidate.name) if candidate is not None else None,
        )
        if turn is None or has_living_run(session, seen):
            return seen
        if self.is_database_away:
            return replace(seen, is_end_unknown=True)
        return replace(seen, stored_end=self.ended.get(turn.number))

    def run_pass(self, *, dies: int = 9, meanwhile: Callable[[], object] = lambda: None) -> None:
        """One pass; a process that ``dies`` after so many of its steps does no more, and others act ``meanwhile``."""
        session, version = self.session, self.version
        plan = decide(session, self.observe(), self.now, RULES)
        meanwhile()
        steps = 0
        if plan.job is not None and not self.living():
            run = int(plan.job["metadata"]["name"].rpartition("-r")[2])
            assert run not in self.jobs, "a Job is made twice"
            self.jobs[run] = ObservedJob(
                name=job_name("s", run), uid=f"j{run}", owner_uid="uid-s", run=run, active=1, created_at=self.now
            )
            self.pods[run] = ObservedPod(
                name=f"{job_name('s', run)}-abcde", job=job_name("s", run), phase="Running", created_at=self.now
            )
            steps += 1
        if steps >= dies or version != self.version:
            return
        if plan.status is not None and plan.status != session.status:
            old = session.status.phase
            assert old is plan.status.phase or is_legal(old, plan.status.phase or Phase.PENDING, Actor.OPERATOR)
            self.write(plan.status)
            steps += 1
        if steps >= dies:
            return
        for name in plan.delete_jobs:
            run = int(name.rpartition("-r")[2])
            if run in self.jobs:
                self.jobs[run] = replace(self.jobs[run], is_deleting=True, deleting_since=self.now)
        if plan.prune_turns:
            kept = tuple(each for each in self.session.spec.turns if each.name not in plan.prune_turns)
            self.change(turns=kept)

    # -- runners and nodes

    def living(self) -> int | None:
        """The run whose pod lives; there is at most one."""
        found = [run for run, pod in self.pods.items() if not pod.is_over]
        assert len(found) <= 1
        return found[0] if found else None

    def act(self, outcome: str) -> None:
        """One step of the runner that lives, or of what takes it away."""
        run = self.living()
        for number, job in list(self.jobs.items()):
            if job.is_deleting and number != run:
                del self.jobs[number]
                self.pods.pop(number, None)
        if run is None:
            return
        job, status = self.jobs[run], self.session.status
        if job.is_deleting or outcome == "dies":
            # Drained, or killed: no more of it is heard.
            self._end(run, failed=outcome == "dies" and not job.is_deleting)
            return
        turn, end = status.turn, status.turn_end
        is_on = turn is not None and (end is None or end.number < turn.number)
        if status.run != run or (status.phase or Phase.PENDING).is_final:
            if (status.run or 0) > run or (status.phase is not None and status.phase.is_final):
                self._end(run)
            return
        if status.phase in (Phase.CREATING, Phase.IDLE) and is_on and turn is not None:
            if turn.number in self.ended:
                # It ended, and died before it said so: the end that is stored is told.
                self._tell(run, self.ended[turn.number], ends=outcome != "stays")
                return
            self.write(status.model_copy(update={"phase": Phase.RUNNING}))
        elif status.phase is Phase.IDLE:
            if outcome == "goes" or not self.keep_warm:
                self._end(run)
        elif status.phase is Phase.WAITING_FOR_INPUT and outcome != "asks":
            self.write(status.model_copy(update={"phase": Phase.RUNNING, "interrupts": ()}))
        elif status.phase is Phase.RUNNING and is_on and turn is not None:
            if outcome == "asks" and self.keep_warm:
                asked = Interrupt(id=f"q{turn.number}", value="?", asked_at=self.now)
                self.write(status.model_copy(update={"phase": Phase.WAITING_FOR_INPUT, "interrupts": (asked,)}))
                return
            if turn.number not in self.ended:
                self.acted[turn.number] += 1
                phase = TurnPhase.FAILED if outcome == "fails" else TurnPhase.COMPLETED
                self.ended[turn.number] = TurnRow(
                    session_uid="uid-s",
                    number=turn.number,
                    name=turn.name,
                    project_name="team",
                    session_name="s",
                    phase=phase,
                    run=run,
                    created_at=self.now,
                    finished_at=self.now,
                    checkpoint_id=f"c{turn.number}",
                )
                return
            self._tell(run, self.ended[turn.number], ends=outcome != "stays")

    def _tell(self, run: int, row: TurnRow, *, ends: bool) -> None:
        end = TurnEnd(
            name=row.name,
            number=row.number,
            phase="Failed" if row.phase is TurnPhase.FAILED else "Completed",
            checkpoint_id=row.checkpoint_id,
            finished_at=self.now,
        )
        self.write(self.session.status.model_copy(update={"phase": Phase.IDLE, "turn_end": end}))
        if ends and not self.keep_warm:
            self._end(run)

    def _end(self, run: int, *, failed: bool = False) -> None:
        self.pods[run] = replace(
            self.pods[run], phase="Failed" if failed else "Succeeded", has_ended=True, exit_code=None if failed else 0
        )
        if self.jobs[run].is_deleting:
            del self.jobs[run], self.pods[run]
        elif failed:
            # A pod that is gone without a word: the Job is taken away with its node.
            del self.jobs[run], self.pods[run]
        else:
            self.jobs[run] = replace(self.jobs[run], is_complete=True, active=0)


ACTIONS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from([None, None, None, "Interrupt", "Rollback"])),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("suspend"), st.booleans()),
    st.tuples(st.just("pass"), st.sampled_from([9, 9, 9, 1, 2])),
    st.tuples(st.just("act"), st.sampled_from(["goes", "stays", "stays", "fails", "asks", "dies"])),
    st.tuples(st.just("race"), st.sampled_from(["add", "cancel", "goes", "fails", "dies"])),
    st.tuples(st.just("time"), st.sampled_from([1, 5, 45, 200])),
    st.tuples(st.just("database"), st.sampled_from([True, True, False])),
)


@given(st.lists(ACTIONS, max_size=60), st.sampled_from([0, 120]))
@settings(max_examples=600)
def test_each_turn_begins_in_its_order_and_ends_once_whatever_dies(
    actions: list[tuple[str, Any]], keep_warm: int
) -> None:
    world = World(keep_warm)
    for kind, value in actions:
        if kind == "add":
            world.add(value)
        elif kind == "cancel":
            world.cancel(value)
        elif kind == "suspend":
            world.change(suspend=value)
        elif kind == "pass":
            world.run_pass(dies=value)
        elif kind == "race" and value == "add":
            world.run_pass(meanwhile=world.add)
        elif kind == "race" and value == "cancel":
            world.run_pass(meanwhile=lambda: world.cancel(0))
        elif kind == "race":
            world.run_pass(meanwhile=partial(world.act, value))
        elif kind == "act":
            world.act(value)
        elif kind == "database":
            world.is_database_away = value
        else:
            world.now += timedelta(seconds=value)
    settle(world)
    status = world.session.status
    assert status.phase is Phase.IDLE, (status.phase, status.reason, status.message)
    assert status.turn is None
    # None is lost: each has ended, or never began because it was cancelled; none was run twice.
    assert set(world.records) == set(world.added)
    assert all(times == 1 for times in world.acted.values())
    # Those that did not preempt began in the order of the list.
    plain = [name for name in world.begun if name not in world.preempting]
    assert plain == sorted(plain, key=lambda name: int(name[1:]))
    world.change(close=True)
    settle(world)
    assert world.session.status.phase is Phase.COMPLETED


def settle(world: World) -> None:
    """Let everybody act until nothing happens any more."""
    world.is_database_away = False
    world.change(suspend=False)
    for _ in range(400):
        version, jobs = world.version, dict(world.jobs)
        world.run_pass()
        world.act("goes" if world.session.status.phase is Phase.IDLE and world.session.status.turn is None else "stays")
        world.now += HANDOVER_PATIENCE if version == world.version else timedelta(seconds=1)
        if version == world.version and jobs == world.jobs and not world.living():
            return
    raise AssertionError(f"no rest: {world.session.status}")
