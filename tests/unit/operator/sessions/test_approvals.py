"""Approval rules: which is the stricter one, what is recorded, and which answers count."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentic_core.conditions import find_condition
from agentic_core.resources import AgenticSession, ApprovalRule, EffectiveRule
from agentic_core.resources.approval import UnreadableRule, combine_rules, read_rule
from agentic_operator.sessions.answers import AnswerChecks, AnswersDecision, answer_by_default, take_answers
from agentic_operator.sessions.approvals import ROOM_FOR_APPROVALS, digest_response, find_effective_rule
from tests.support.builders import NOW, SessionBuilder, a_session, wire_time

RULES = st.builds(
    ApprovalRule,
    identity=st.sampled_from(["Required", "Optional"]),
    not_creator=st.booleans(),
    groups=st.none() | st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(tuple),
    count=st.integers(1, 5),
    digest=st.sampled_from(["Required", "Optional"]),
)


def asking(rule: Any = None, pinned: Any = None, *, creator: str = "bob", **responses: Any) -> SessionBuilder:
    """A session whose question ``q1`` has this rule, beside that of its definition."""
    built = a_session().waiting("a?").with_spec(createdBy=creator) if creator else a_session().waiting("a?")
    asked = {**built.status["interrupts"][0], "value": {"prompt": "a?", **({} if rule is None else {"approval": rule})}}
    workflow = {**built.status["workflow"], "spec": {} if pinned is None else {"approval": pinned}}
    given_ = [{"interruptId": "q1", "by": by, "value": value} for by, value in responses.items()]
    return built.with_status(interrupts=[asked], workflow=workflow).with_spec(responses=given_)


def recorded(session: SessionBuilder) -> SessionBuilder:
    """The session once its rule is recorded, before anybody answered."""
    taken = take(session.with_spec(responses=[]))
    return session.with_status(**taken.session.status.to_wire())


def take(session: SessionBuilder) -> AnswersDecision:
    return take_answers(session.build(), AnswerChecks(), NOW)


def condition(taken: AnswersDecision) -> tuple[str, str]:
    found = find_condition(taken.session.status.conditions, "InputAccepted")
    return (found.reason, found.message) if found is not None else ("", "")


def authors(taken: AnswersDecision) -> list[str]:
    return [each.by for each in taken.session.status.answers]


# Which rule counts.


@given(RULES, RULES)
def test_the_effective_rule_is_no_weaker_than_either(one: ApprovalRule, other: ApprovalRule) -> None:
    combined = combine_rules(one, other) or EffectiveRule()
    for rule in (one, other):
        assert combined.count >= rule.count
        assert combined.not_creator >= rule.not_creator
        assert combined.identity == "Required" or rule.identity == "Optional"
        assert combined.digest == "Required" or rule.digest == "Optional"
        assert rule.groups is None or rule.groups in combined.groups
    if combined.count > 1 or combined.groups or combined.not_creator:
        assert combined.identity == "Required"
    assert combine_rules(other, one) == combine_rules(one, other) or len(combined.groups) == 2


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (True, "/approval:"),
        ("finance", "/approval:"),
        (["finance"], "/approval:"),
        ({"group": ["finance"]}, "/approval/group:"),
        ({"groups": "finance"}, "/approval/groups:"),
        ({"groups": []}, "/approval/groups:"),
        ({"groups": [1]}, "/approval/groups/0:"),
        ({"groups": ["x" * 257]}, "/approval/groups/0:"),
        ({"count": 0}, "/approval/count:"),
        ({"count": 6}, "/approval/count:"),
        ({"count": True}, "/approval/count:"),
        ({"count": "2"}, "/approval/count:"),
        ({"identity": "required"}, "/approval/identity:"),
        ({"notCreator": 1}, "/approval/notCreator:"),
        ({"not_creator": True}, "/approval/not_creator:"),
        ({"truncated": True}, "/approval/truncated:"),
    ],
)
def test_a_rule_that_is_none_says_where(raw: Any, place: str) -> None:
    with pytest.raises(UnreadableRule, match=place):
        read_rule(raw)
    taken = take(recorded(asking(raw, {"count": 2}, ann=1, cas=1)))
    assert authors(taken) == []
    assert condition(taken)[0] == "AnswerNotAllowed"
    assert "nobody can answer" in condition(taken)[1]


def test_a_definitions_rule_stands_beside_one_that_cannot_be_read() -> None:
    rule, problem = find_effective_rule(asking("x", {"count": 3}).build(), asking("x").build().status.interrupts[0])
    assert (rule is not None and rule.count, bool(problem)) == (3, True)


def test_what_demands_nothing_is_recorded_of_no_question() -> None:
    for session in (asking(), asking({}), asking({"count": 1, "identity": "Optional"})):
        assert take(session).session == session.build()


def test_the_rule_that_stands_beside_the_value_counts() -> None:
    session = asking({"count": 2})
    session = session.with_status(interrupts=[{**session.status["interrupts"][0], "approval": {"count": 3}}])
    (record,) = take(session).session.status.approvals
    assert record.rule.count == 3


# Which answers count.


@pytest.mark.parametrize(
    ("rule", "given_", "accepted", "reason", "words"),
    [
        ({"count": 2}, {}, [], "ApprovalsMissing", "question 'q1': 0 of 2; 2 persons"),
        ({"count": 2}, {"ann": 1}, [], "ApprovalsMissing", "1 of 2: ann; 1 more person"),
        ({"count": 2}, {"ann": 1, "cas": 2}, [], "ApprovalsMissing", "; another answer by cas"),
        ({"count": 2}, {"ann": 1, "cas": 1}, ["ann", "cas"], "Answered", ""),
        ({"count": 2}, {"ann": 1, "cas": 1, "dan": 1}, ["ann", "cas", "dan"], "Answered", ""),
        ({"count": 2}, {"ann": 1, "cas": 2, "dan": 2}, ["cas", "dan"], "AlreadyAnswered", "by cas, dan"),
        ({"count": 2}, {"ann": 1, "cas": True}, [], "ApprovalsMissing", "1 of 2: ann"),
        ({"count": 2}, {"ann": 1, "": 1}, [], "AnswerNotAllowed", "/by: the question 'q1' is answered by persons"),
        ({"count": 2, "notCreator": True}, {"ann": 1, "bob": 1}, [], "AnswerNotAllowed", "somebody else than bob"),
        ({"identity": "Required"}, {"": 1}, [], "AnswerNotAllowed", "state your name"),
        ({"identity": "Required"}, {"": 1, "ann": 2}, ["ann"], "AnswerNotAllowed", ""),
        ({"digest": "Required"}, {"ann": 1}, [], "AnswerNotAllowed", "names its digest"),
        ({"notCreator": True, "groups": ["x"]}, {}, [], "ApprovalsMissing", "an answer of group x, not bob (who"),
    ],
)
def test_answers_by_rule(
    rule: dict[str, Any], given_: dict[str, Any], accepted: list[str], reason: str, words: str
) -> None:
    taken = take(recorded(asking(rule, **given_)))
    assert authors(taken) == accepted
    assert condition(taken)[0] == reason
    assert words in condition(taken)[1]
    settled = take_answers(taken.session, AnswerChecks(), NOW).session
    assert take_answers(settled, AnswerChecks(), NOW).session is settled


def test_who_agreed_and_who_did_not_is_told() -> None:
    taken = take(recorded(asking({"count": 2}, ann=1, cas=1, dan=2)))
    assert [(each.by, each.reason) for each in taken.refused] == [("dan", "AlreadyAnswered")]
    assert taken.notes[0].message == "question 'q1' is answered by ann, cas"


def test_a_rule_without_a_known_creator_is_met_by_nobody() -> None:
    taken = take(recorded(asking({"notCreator": True}, creator="", ann=1)))
    assert authors(taken) == []
    assert "spec.createdBy does not say" in condition(taken)[1]


@pytest.mark.parametrize(
    ("by", "answers", "accepted", "words"),
    [
        ("cas", {"cas": 1}, [], "somebody else than cas, whose turn asks it"),
        ("cas", {"bob": 1}, [], "somebody else than bob, who started the session"),
        ("cas", {"cas": 1, "ann": 1}, ["ann"], ""),
        ("bob", {"ann": 1}, ["ann"], ""),
        ("bob", {}, [], "not bob (who started it)"),
        ("cas", {}, [], "not bob (who started it), not cas (whose turn it is)"),
        ("", {"ann": 1}, [], "whoever said turn 't1' may not answer, and its `by` does not say who that is"),
    ],
)
def test_whose_turn_asks_does_not_answer_it(by: str, answers: dict[str, Any], accepted: list[str], words: str) -> None:
    turn = {"name": "t1", "number": 1, "by": by}
    taken = take(recorded(asking({"notCreator": True}, **answers).with_status(turn=turn)))
    assert authors(taken) == accepted
    assert words in condition(taken)[1]


@pytest.mark.parametrize(
    ("mode", "value", "began", "refused"),
    [
        ("Conversation", 1, 1, []),
        ("Conversation", 1, None, []),
        ("Conversation", 2, 1, ["UnknownInterrupt"]),
        # Its question was lost with checkpoints.
        ("Conversation", 1, -1, ["UnknownInterrupt"]),
        ("OneShot", 1, None, ["UnknownInterrupt"]),
    ],
)
def test_an_answer_that_an_earlier_turn_took_is_not_refused_when_its_question_is_gone(
    mode: str, value: int, began: int | None, refused: list[str]
) -> None:
    answered = NOW - timedelta(minutes=5)
    taken_before = [{"interruptId": "q1", "by": "ann", "value": 1, "at": wire_time(answered)}]
    turn = began and {"name": "t2", "number": 2, "startedAt": wire_time(answered + timedelta(minutes=began))}
    session = asking(ann=value).with_spec(mode=mode)
    status: dict[str, Any] = {"phase": "Running", "interrupts": [], "answers": taken_before}
    taken = take(session.with_status(**status, **({"turn": turn} if turn else {})))
    assert [each.reason for each in taken.refused] == refused
    assert (condition(taken)[0] == "UnknownInterrupt") is bool(refused)


def test_a_deadline_answers_a_ruled_question_by_what_its_definition_lists() -> None:
    session = asking({"count": 2}).with_spec(inputDeadline={"seconds": 1, "onExpiry": "Resume", "value": 7})
    assert authors(answer_by_default(session.build(), NOW)) == []
    workflow = {**session.status["workflow"], "spec": {"deadlineAnswers": {"values": [7]}}}
    listed = session.with_status(workflow=workflow)
    assert authors(answer_by_default(listed.build(), NOW)) == ["inputDeadline"]
    assert authors(answer_by_default(recorded(listed).build(), NOW)) == ["inputDeadline"]


def test_records_keep_to_their_room_and_questions_beyond_it_wait() -> None:
    rule = {"groups": [f"{n}{'g' * 255}" for n in range(8)]}
    interrupts = [{"id": f"q{n}", "value": {"approval": rule}} for n in range(256)]
    taken = take(asking().with_status(interrupts=interrupts))
    status = taken.session.status
    assert 0 < len(status.approvals) < 256
    assert sum(len(each.model_dump_json(by_alias=True)) for each in status.approvals) < ROOM_FOR_APPROVALS
    beyond = {"interruptId": "q255", "by": "ann", "value": 1}
    waiting = asking().with_status(**status.to_wire()).with_spec(responses=[beyond])
    assert condition(take(waiting))[0] == "AnswerNotAllowed"
    # Once a run has taken the first ones, their records give way.
    gone = [
        {**each, "answeredAt": "2026-03-01T12:00:00Z", "resumedAt": "2026-03-01T12:00:00Z"} for each in interrupts[:240]
    ]
    later = take(waiting.with_status(interrupts=[*gone, *interrupts[240:]])).session.status
    assert {f"q{n}" for n in range(240, 256)} <= {each.interrupt_id for each in later.approvals}


# Who answered before the rule stood.


@dataclass
class World:
    """A session at an API server whose policy lets members alone answer a question whose rule is recorded."""

    session: AgenticSession
    held: dict[str, bool] = field(default_factory=dict)
    """By author, whether the answer that stands was held against the rule when it was written."""
    accepted: list[tuple[str, bool]] = field(default_factory=list)

    def write(self, by: str, value: Any, *, is_member: bool, is_removed: bool) -> None:
        old = {each.by: each for each in self.session.spec.responses}
        new = {} if is_removed else {by: {"interruptId": "q1", "by": by, "value": value}}
        wire = {name: each.to_wire() for name, each in old.items() if name != by} | new
        is_new = not is_removed and (by not in old or not _equals_in_cel(old[by].value, value))
        is_ruled = bool(self.session.status.approvals)
        if is_new and is_ruled and not is_member:
            return
        if is_new:
            self.held[by] = is_ruled
        body = self.session.to_wire()
        body["spec"]["responses"] = list(wire.values())
        self.session = AgenticSession.model_validate(body)

    def look(self, read: AgenticSession) -> None:
        """A pass of the operator over what it read; the API server refuses what was read of another version."""
        taken = take_answers(read, AnswerChecks(), NOW)
        if read is not self.session:
            return
        self.accepted += [(each.by, self.held[each.by]) for each in taken.session.status.answers]
        self.session = self.session.model_copy(update={"status": taken.session.status})

    def ask(self, *, is_there: bool) -> None:
        asked = asking({"groups": ["finance"]}).build().status.interrupts if is_there else ()
        status = self.session.status.model_copy(update={"interrupts": asked})
        self.session = self.session.model_copy(update={"status": status})


Steps = list[tuple[Any, ...]]
VALUES = st.sampled_from([1, 1.0, 2, None, 2**53, 2**53 + 1, float(2**53), {"a": 1}, {"a": 1.0}])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(["ann", "cas", "eve"]), VALUES, st.booleans()),
        st.tuples(st.just("look")),
        st.tuples(st.just("read")),
        st.tuples(st.just("look at what was read")),
        st.tuples(st.just("ask"), st.booleans()),
    ),
    max_size=25,
)


BETWEEN_READ_AND_WRITE: Steps = [
    ("ask", True),
    ("read",),
    ("write", "eve", 1, False),
    ("look at what was read",),
    ("look",),
]
CALLED_EQUAL: Steps = [
    ("write", "ann", 2**53 + 1, False),
    ("ask", True),
    ("look",),
    ("write", "ann", float(2**53), False),
    ("look",),
]


@settings(max_examples=400, deadline=None)
@example(BETWEEN_READ_AND_WRITE)
@example(CALLED_EQUAL)
@given(STEPS)
def test_no_accepted_answer_was_written_before_its_rule_stood(steps: Steps) -> None:
    world = World(asking().with_status(interrupts=[]).build())
    read = world.session
    for step in steps:
        match step:
            case ("write", by, value, is_removed):
                world.write(by, value, is_member=by != "eve", is_removed=is_removed)
            case ("look",):
                world.look(world.session)
            case ("read",):
                read = world.session
            case ("look at what was read",):
                world.look(read)
            case ("ask", is_there):
                world.ask(is_there=is_there)
        assert all(is_held for _, is_held in world.accepted)
        assert "eve" not in {by for by, _ in world.accepted}


@given(VALUES, VALUES)
def test_what_the_api_server_calls_equal_is_known_again(one: Any, other: Any) -> None:
    """An answer that the policy takes for unchanged was not held against anything: it must stay an early one."""

    def digest(value: Any) -> str:
        (response,) = asking(ann=value).build().spec.responses
        return digest_response(response)

    if _equals_in_cel(one, other):
        assert digest(one) == digest(other)


def _equals_in_cel(one: Any, other: Any) -> bool:
    """As cel-go compares: an integer and a double as doubles."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equals_in_cel(one[name], other[name]) for name in one)
    if isinstance(one, float) or isinstance(other, float):
        return not (one is None or other is None or isinstance(one, dict) or isinstance(other, dict)) and (
            float(one) == float(other)
        )
    return bool(one == other)


def test_an_answer_that_is_nested_too_deeply_stops_nothing() -> None:
    value: Any = 1
    for _ in range(50_000):
        value = [value]
    session = asking({"count": 2}).build()
    deep = asking(ann=1).build().spec.responses[0].model_copy(update={"value": value})
    spec = session.spec.model_copy(update={"responses": (deep,)})
    taken = take_answers(session.model_copy(update={"spec": spec}), AnswerChecks(), NOW)
    assert len(taken.session.status.approvals) == 1
