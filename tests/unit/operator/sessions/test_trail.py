"""What goes into a session's trail, and that nothing of the chain is lost, doubled or forked, whatever ends when."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_core import trail as chain
from agentic_core.conditions import find_condition
from agentic_core.contract import MAX_ANSWER_BYTES
from agentic_core.errors import DatabaseUnavailable, Problem
from agentic_core.lifecycle import Phase
from agentic_core.names import FINALIZER
from agentic_core.resources import AgenticSession
from agentic_core.trail import ChainReader, EntryKind
from agentic_operator.database.trail_rows import TrailKeeper, build_rows
from agentic_operator.sessions import trail as trails
from agentic_operator.sessions.answers import AnswerChecks
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.trail import Stored
from agentic_store.records import TrailRow
from tests.support.builders import NOW, SessionBuilder, a_definition, a_session, wire_time
from tests.support.memory_store import MemoryStore

RULES = Rules(has_trail=True)
ASKING = a_session().waiting("a?", "b?")


def look(session: SessionBuilder | AgenticSession, seen: Observation | None = None, rules: Rules = RULES) -> Plan:
    built = session if isinstance(session, AgenticSession) else session.build()
    return decide(built, seen or Observation(definition=a_definition()), NOW, rules)


def entries(plan: Plan) -> list[dict[str, Any]]:
    """Return what the entries say that the plan's status holds, without the chain's own members."""
    if plan.status is None or plan.status.trail is None:
        return []
    found = [json.loads(each.entry) for each in plan.status.trail.pending]
    chained = ("seq", "prev", "at", "valueDigest", "messageDigest")
    return [{name: value for name, value in each.items() if name not in chained} for each in found]


def after(session: SessionBuilder | AgenticSession, plan: Plan) -> AgenticSession:
    built = session if isinstance(session, AgenticSession) else session.build()
    return built if plan.status is None else built.model_copy(update={"status": plan.status})


def answering(*responses: tuple[str, str, Any]) -> SessionBuilder:
    given = [{"interruptId": id_, "by": by, "value": value} for id_, by, value in responses]
    return ASKING.with_spec(responses=given)


def test_an_accepted_answer_is_an_entry_in_the_same_write() -> None:
    plan = look(answering(("q1", "ann", {"ok": None})))
    assert plan.status is not None
    assert [each.interrupt_id for each in plan.status.answers] == ["q1"]
    question = ASKING.build().status.interrupts[0].digest()
    assert entries(plan) == [{"kind": "Accepted", "interruptId": "q1", "by": "ann", "question": question}]
    trail = plan.status.trail
    assert trail is not None
    (entry,) = trail.pending
    assert (trail.seq, trail.hash, entry.value) == (1, entry.hash, '{"ok":null}')
    assert json.loads(entry.entry)["prev"] == chain.find_root("team", "s", "uid-s")


def test_an_answer_that_states_nobody_is_nobodys() -> None:
    (entry,) = entries(look(answering(("q1", "", 1))))
    assert "by" not in entry


def test_what_is_refused_is_an_entry_once_and_again_once_it_changes() -> None:
    faults = AnswerChecks(faults={("q1", "ann"): (Problem("", "too small"),)})
    session = answering(("q1", "ann", 1), ("other", "bob", 2))
    seen = Observation(definition=a_definition(), answers=faults)
    plan = look(session, seen)
    assert entries(plan) == [
        {"kind": "Refused", "interruptId": "q1", "by": "ann", "reason": "InvalidAnswer"},
        {"kind": "Refused", "interruptId": "other", "by": "bob", "reason": "UnknownInterrupt"},
    ]
    again = after(session, plan)
    assert len(entries(look(again, seen))) in (0, 2)
    settled = after(again, look(again, seen))
    assert settled.status.trail == again.status.trail
    # One is corrected, and one refused anew for another value.
    changed = answering(("q1", "ann", 5), ("other", "bob", 3)).build().model_copy(update={"status": again.status})
    said = entries(look(changed))
    assert [(each["kind"], each["interruptId"]) for each in said[2:]] == [("Accepted", "q1"), ("Refused", "other")]


def test_an_accepted_answer_whose_question_is_dropped_is_not_refused() -> None:
    session = answering(("q1", "ann", 1)).with_status(
        interrupts=[{"id": "q2", "value": "b?", "askedAt": wire_time(NOW)}],
        answers=[{"interruptId": "q1", "by": "ann", "value": 1, "at": wire_time(NOW)}],
    )
    assert entries(look(session)) == []


def test_an_answer_by_the_deadline_is_an_entry() -> None:
    late = ASKING.with_spec(inputDeadline={"seconds": 1, "onExpiry": "Resume", "value": "no"})
    plan = look(late)
    assert [(each["kind"], each["by"]) for each in entries(plan)] == [("Accepted", "inputDeadline")] * 2


def test_without_a_database_there_is_no_trail() -> None:
    plan = look(answering(("q1", "ann", 1), ("other", "bob", 2)), rules=Rules())
    assert plan.status is not None
    assert plan.status.answers
    assert plan.status.trail is None


def test_who_has_no_finalizer_gets_one_before_there_is_something_to_lose() -> None:
    pending = a_session().with_spec(responses=[{"interruptId": "q", "value": 1}]).with_status(phase="Suspended")
    plan = look(pending.with_spec(suspend=True, responses=[{"interruptId": "q", "value": 1}]))
    assert [each["kind"] for each in entries(plan)] == ["Refused"]
    assert plan.add_finalizer
    assert FINALIZER in ASKING.build().metadata.finalizers
    assert not look(answering(("q1", "ann", 1))).add_finalizer


def test_a_character_that_no_database_keeps_is_replaced() -> None:
    (entry,) = entries(look(answering(("a\0b", "ann", "x\0y"))))
    assert entry["interruptId"] == "a\ufffdb"


def test_large_values_that_are_refused_are_kept_by_their_digest_alone() -> None:
    plan = look(answering(("other", "ann", "x" * 9000)))
    assert plan.status is not None
    assert plan.status.trail is not None
    (entry,) = plan.status.trail.pending
    assert entry.value is None
    assert json.loads(entry.entry)["valueDigest"] == chain.hash_text(chain.spell("x" * 9000))


# Questions that several persons have to answer.

RULED = {"count": 2, "notCreator": True, "groups": ["finance"]}


def approving(**answers: Any) -> SessionBuilder:
    given = [{"interruptId": "q1", "by": by, "value": value} for by, value in answers.items()]
    asked = {"id": "q1", "value": {"approval": RULED}, "askedAt": wire_time(NOW)}
    return a_session().waiting("x").with_spec(responses=given, createdBy="eve").with_status(interrupts=[asked])


def counting(before: AgenticSession, **answers: Any) -> AgenticSession:
    """Return the session once people have answered further."""
    spec = approving(**answers).build().spec
    return before.model_copy(update={"spec": spec})


def test_rules_and_each_persons_answer_are_entries() -> None:
    asked = after(approving(), look(approving()))
    ((rule,),) = [entries(look(approving()))]
    assert (rule["kind"], rule["interruptId"], rule["rule"]["count"]) == ("RuleRecorded", "q1", 2)
    assert (rule["rule"]["groups"], rule["rule"]["creator"]) == ([["finance"]], "eve")
    plan = look(counting(asked, ann=1, bob=2))
    said = entries(plan)[1:]
    assert [(each["kind"], each["by"]) for each in said] == [("Counted", "ann"), ("Counted", "bob")]
    halfway = after(counting(asked, ann=1, bob=2), plan)
    assert look(halfway).status is None or len(entries(look(halfway))) == 3
    done = entries(look(counting(halfway, ann=1, bob=2, cas=1)))[3:]
    assert [(each["kind"], each["by"]) for each in done] == [
        ("Accepted", "ann"),
        ("Accepted", "cas"),
        ("Refused", "bob"),
    ]
    assert done[-1]["reason"] == "AlreadyAnswered"


def test_a_rule_is_recorded_once_the_trail_has_room_for_it() -> None:
    full = chain.Trail()
    while chain.measure(full) < trails.ROOM_FOR_REFUSALS:
        full = chain.append(full, "0", {"kind": "Refused"}, value=chain.spell("x" * 4000))
    crowded = approving().with_status(trail=full.to_wire())
    plan = look(crowded)
    assert plan.status is None or plan.status.approvals == ()
    settled = trails.settle(crowded.build(), Stored(full.seq), NOW)
    assert [each["kind"] for each in entries(look(settled))] == ["RuleRecorded"]


def test_a_group_that_no_database_keeps_is_written_otherwise() -> None:
    asked = {"id": "q1", "value": {"approval": {"groups": ["a\0b"]}}, "askedAt": wire_time(NOW)}
    (rule,) = entries(look(a_session().waiting("x").with_spec(createdBy="eve").with_status(interrupts=[asked])))
    assert rule["rule"]["groups"] == [["a\ufffdb"]]


# The room of what is not stored yet.

LARGE = "x" * (MAX_ANSWER_BYTES - 10)
MANY = a_session().waiting(*(f"{n}?" for n in range(12)))


def test_no_answer_is_accepted_that_could_not_be_kept_and_each_is_once_there_is_room() -> None:
    given = [{"interruptId": f"q{n + 1}", "by": "ann", "value": f"{n}{LARGE[:-4]}"} for n in range(6)]
    session = MANY.with_spec(responses=given).build()
    accepted: list[str] = []
    for _ in range(6):
        plan = look(session)
        session = after(session, plan)
        trail = session.status.trail
        assert trail is not None
        assert chain.measure(trail) <= chain.ROOM_FOR_PENDING
        found = find_condition(session.status.conditions, "InputAccepted")
        assert found is not None
        new = [each.interrupt_id for each in session.status.answers]
        if len(new) < 6:
            assert (found.status, found.reason) == ("False", "TrailBehind"), found
            assert "once the trail of the answers before it is in the database" in found.message
        # Nothing of what waits is said to be refused.
        assert {json.loads(each.entry)["kind"] for each in trail.pending} <= {"Accepted"}
        assert new[: len(accepted)] == accepted
        accepted = new
        session = trails.settle(session, Stored(trail.seq), NOW)
    assert accepted == [f"q{n + 1}" for n in range(6)]


def test_a_deadline_answers_as_many_as_are_kept_and_the_others_later() -> None:
    limit = {"seconds": 1, "onExpiry": "Resume", "value": LARGE}
    session = MANY.with_spec(inputDeadline=limit).build()
    counts: list[int] = []
    for _ in range(12):
        session = after(session, look(session))
        counts.append(len(session.status.answers) - sum(counts))
        assert chain.measure(session.status.trail) <= chain.ROOM_FOR_PENDING
        trail = session.status.trail
        assert trail is not None
        if len(session.status.answers) > 5:
            break
        blocked = look(session)
        assert blocked.status is None or len(blocked.status.answers) == len(session.status.answers)
        session = trails.settle(session, Stored(trail.seq), NOW)
    assert counts[0] in range(1, 7)
    assert len(counts) > 1


def test_refusals_leave_room_for_answers() -> None:
    refused = [{"interruptId": f"other{n}", "by": "ann", "value": "x" * 4000} for n in range(200)]
    plan = look(ASKING.with_spec(responses=refused))
    assert plan.status is not None
    assert plan.status.trail is not None
    first = plan.status.trail.seq
    assert 5 < first < 200
    assert chain.measure(plan.status.trail) <= trails.ROOM_FOR_REFUSALS
    # The others follow, once each.
    session = after(ASKING.with_spec(responses=refused), plan)
    for _ in range(40):
        trail = session.status.trail
        assert trail is not None
        session = trails.settle(session, Stored(trail.seq), NOW)
        session = after(session, look(session))
    assert session.status.trail is not None
    assert (session.status.trail.seq, session.status.trail.pending) == (200, ())


@pytest.mark.parametrize(
    "value", ["x" * 200_000, {"deep": None}, [1e20] * 6000], ids=["long", "plain", "longer spelled"]
)
def test_the_value_of_a_deadline_never_makes_a_status_that_cannot_be_written(value: Any) -> None:
    late = ASKING.with_spec(inputDeadline={"seconds": 1, "onExpiry": "Resume", "value": value})
    plan = look(late)
    trail = plan.status.trail if plan.status is not None else None
    for entry in trail.pending if trail is not None else ():
        assert len(entry.value or "") <= chain.MAX_VALUE


# Its end.


def test_a_session_that_is_deleted_ends_its_chain_before_its_rows_go() -> None:
    answered = after(ASKING, look(answering(("q1", "ann", 1))))
    deleting = answered.model_copy(
        update={"metadata": answered.metadata.model_copy(update={"deletion_timestamp": NOW - timedelta(seconds=9)})}
    )
    plan = look(deleting)
    assert not plan.purge
    assert [each["kind"] for each in entries(plan)] == ["Accepted", "Deleted"]
    closed = after(deleting, plan)
    assert look(closed).purge
    assert look(closed).status is None


def test_a_session_without_entries_is_let_go_at_once() -> None:
    assert look(ASKING.deleting()).purge


# What the database says of it.


def test_a_database_with_another_entry_is_told_in_a_condition_until_it_has_not() -> None:
    session = after(ASKING, look(answering(("q1", "ann", 1))))
    seen = Observation(definition=a_definition(), stored=Stored(0, conflict=1))
    told = after(session, look(session, seen))
    found = find_condition(told.status.conditions, "TrailKept")
    assert found is not None
    assert (found.status, found.reason) == ("False", "TrailConflict")
    assert "another entry 1" in found.message
    assert told.status.trail == session.status.trail
    healed = after(told, look(told, Observation(definition=a_definition(), stored=Stored(1))))
    assert find_condition(healed.status.conditions, "TrailKept") is None
    assert healed.status.trail is not None
    assert healed.status.trail.pending == ()


# Any order of answers, passes, crashes, leaders and outages.


@dataclass
class Process:
    """An operator: what it read last, and what it remembers."""

    keeper: TrailKeeper
    read: AgenticSession | None = None


@dataclass
class World:
    """A session as the API server has it, a database, and two operators that take each other for gone."""

    session: AgenticSession = field(default_factory=lambda: a_session().waiting(*"abcdefgh").build())
    store: MemoryStore = field(default_factory=MemoryStore)
    processes: list[Process] = field(default_factory=list)
    is_away: bool = False
    is_gone: bool = False
    number: int = 0

    def __post_init__(self) -> None:
        self.processes = [Process(self.make_keeper()) for _ in range(2)]

    def make_keeper(self) -> TrailKeeper:
        world = self

        class Away:
            async def store(self, rows: Sequence[TrailRow]) -> Mapping[str, int]:
                if world.is_away:
                    raise DatabaseUnavailable("away")
                return await world.store.trails.store(rows)

            async def remove_old(self, days: int, projects: Sequence[str] | None = None, *, limit: int = 100) -> int:
                return await world.store.trails.remove_old(days, projects, limit=limit)

        return TrailKeeper(Away(), lambda _: None)

    def write(self, before: AgenticSession, **changes: Any) -> bool:
        """Write a session as the API server does: whoever read another version is refused."""
        if self.is_gone or before.metadata.resource_version != self.session.metadata.resource_version:
            return False
        version = str(int(before.metadata.resource_version) + 1)
        metadata = self.session.metadata.model_copy(update={"resource_version": version, **changes.pop("metadata", {})})
        written = self.session.model_copy(update={"metadata": metadata, **changes})
        self.session = AgenticSession.model_validate(written.to_wire())
        return True

    def answer(self, process: int, kind: int) -> None:
        """Somebody answers the next question, rightly or not."""
        self.number += 1
        id_ = f"q{self.number % 8 + 1}" if kind else "unknown"
        given = {"interruptId": id_, "by": f"p{process}-{self.number}", "value": {"n": self.number, "null": None}}
        old = self.session.spec.model_dump(mode="json", by_alias=True, exclude_none=True)["responses"]
        spec = {"workflowRef": {"name": "report"}, "responses": [*old, given][-4:]}
        self.write(self.session, spec=a_session().with_spec(**spec).build().spec)

    def observe(self, process: int, _: int) -> None:
        self.processes[process].read = self.session

    def go(self, process: int, crash: int) -> None:
        """Do a pass over what was read, and end after any of its writes."""
        actor = self.processes[process]
        if (session := actor.read) is None:
            return
        actor.keeper.submit(session)
        if crash == 1:
            return
        seen = Observation(definition=a_definition(), stored=actor.keeper.find(session.metadata.uid))
        plan = decide(session, seen, NOW, RULES)
        if plan.status is not None and plan.status != session.status:
            status = plan.status.model_copy(update={"phase": Phase.WAITING_FOR_INPUT})
            if not self.write(session, status=status):
                return
            session = self.session
            if crash == 2:
                # It was written, and nobody was told.
                return
            actor.keeper.submit(session)
        if plan.purge and not self.is_gone and crash != 3:
            try:
                asyncio.run(actor.keeper.keep(session))
            except DatabaseUnavailable:
                return
            if session.metadata.resource_version == self.session.metadata.resource_version:
                self.is_gone = True

    def store_rows(self, process: int, crash: int) -> None:
        """Store what was submitted, and end before this is remembered."""
        actor = self.processes[process]
        batch = actor.keeper.writer.list_pending()
        if crash:
            for session in batch:
                if not self.is_away:
                    asyncio.run(self.store.trails.store(build_rows(session)))
            self.restart(process, 0)
        elif batch:
            with suppress(DatabaseUnavailable):
                asyncio.run(actor.keeper.writer.write_batch())

    def restart(self, process: int, _: int) -> None:
        self.processes[process] = Process(self.make_keeper())

    def outage(self, process: int, _: int) -> None:
        self.is_away = bool(process)

    def delete(self, process: int, _: int) -> None:
        if process and self.session.metadata.deletion_timestamp is None:
            self.write(self.session, metadata={"deletion_timestamp": NOW})

    def check(self) -> None:
        """Rows and pending entries together are the chain, once, and every answer has its entry."""
        trail = self.session.status.trail or chain.Trail()
        rows = {row.seq: (row.entry, row.hash) for row in self.store.trails.read("uid-s")}
        pending = {each.seq: (each.entry, each.hash) for each in trail.pending}
        assert sorted(rows | pending) == list(range(1, trail.seq + 1))
        assert all(rows[seq] == pending[seq] for seq in rows.keys() & pending.keys())
        whole = sorted((rows | pending).items())
        before = chain.find_root("team", "s", "uid-s")
        for _, (entry, hash_) in whole:
            assert json.loads(entry)["prev"] == before
            before = chain.hash_text(entry)
            assert before == hash_
        assert not whole or before == trail.hash
        said = [json.loads(entry) for _, (entry, _) in whole]
        accepted = [(each["interruptId"], each["by"]) for each in said if each["kind"] == EntryKind.ACCEPTED]
        assert sorted(accepted) == sorted((each.interrupt_id, each.by) for each in self.session.status.answers)
        refused = [(each["interruptId"], each["by"], each["reason"]) for each in said if each["kind"] == "Refused"]
        assert len(refused) == len(set(refused))
        if self.is_gone:
            assert sorted(rows) == list(range(1, trail.seq + 1))
            assert not said or said[-1]["kind"] == EntryKind.DELETED


def turn(world: World, process: int, crash: int) -> None:
    """Somebody answers, and a process does a pass over what is there."""
    world.answer(process, crash)
    world.observe(process, 0)
    world.go(process, crash)


def late(world: World, process: int, crash: int) -> None:
    """A process does a pass over what it read before somebody answered and another one wrote."""
    world.observe(process, 0)
    turn(world, 1 - process, 0)
    world.go(process, crash)


STEPS: list[Callable[[World, int, int], None]] = [
    *(turn, turn, turn, turn, late),
    *(World.go, World.store_rows, World.store_rows, World.observe),
    *(World.restart, World.outage, World.delete),
]
OFTEN_ZERO = st.sampled_from([0, 0, 0, 1, 2, 3])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1), OFTEN_ZERO), min_size=4, max_size=40))
def test_no_entry_is_lost_doubled_or_forked_whatever_ends_when(steps: list[tuple[Any, int, int]]) -> None:
    world = World()
    for step, process, crash in steps:
        step(world, process, crash)
        world.check()
    # At last somebody goes on, and the database is there.
    world.is_away = False
    for _ in range(12):
        world.observe(0, 0)
        world.go(0, 0)
        world.store_rows(0, 0)
        world.check()
    trail = world.session.status.trail
    assert world.is_gone or trail is None or trail.pending == ()
    reader = ChainReader()
    for row in world.store.trails.read("uid-s"):
        line = chain.spell_line(
            namespace=row.project_name,
            session=row.session_name,
            uid=row.session_uid,
            entry=row.entry,
            hash_=row.hash,
            value=row.value,
            message=row.message,
        )
        assert reader.read(line) == []
    assert reader.entries == (trail.seq if trail is not None else 0)
