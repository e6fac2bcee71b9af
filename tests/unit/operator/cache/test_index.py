"""The index: who is active, whose turn it is, and which events matter."""

from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from agentic_operator.cache.index import MAX_ENDED_BODIES, Index, is_small
from agentic_operator.sessions.admission import Queue
from agentic_operator.sessions.keys import DefinitionKey, Key, SessionKey
from tests.support.builders import SessionBuilder, a_definition, a_job, a_pod, a_session, condition

WORKFLOW = DefinitionKey("WorkflowDefinition", "team", "report")


class Bell:
    """Collects whom the registry wakes."""

    def __init__(self) -> None:
        self.now: list[Key] = []
        self.later: list[Key] = []


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def index(bell: Bell) -> Index:
    return Index(wake=bell.now.append, wake_later=bell.later.append)


def key(name: str) -> SessionKey:
    return SessionKey("team", name)


def aged(name: str, second: int) -> SessionBuilder:
    return a_session().named(name).with_metadata(creationTimestamp=f"2026-03-01T12:00:{second:02}Z")


def version(session: SessionBuilder, number: int) -> dict[str, Any]:
    return session.with_metadata(resourceVersion=str(number)).raw()


def test_the_turn_goes_by_age_then_by_name(index: Index) -> None:
    for session in (aged("young", 9), aged("b", 5), aged("a", 5), aged("old", 1)):
        index.see_session(session.raw())
    assert [k.name for k in index.slots.waiting_for(WORKFLOW)] == ["old", "a", "b", "young"]
    assert [index.queue_of(key(name)).ahead for name in ("old", "a", "b", "young")] == [0, 1, 2, 3]


def test_a_conversation_with_many_turns_stands_behind_who_came_while_one_of_them_ran(index: Index, bell: Bell) -> None:
    limited = a_definition(maxActiveSessions=1)
    index.see_definition(WORKFLOW, limited)
    talk = aged("talk", 1).with_spec(mode="Conversation", turns=[{"name": f"t{n}"} for n in range(9)])
    on = talk.with_status(phase="Running", turn={"name": "t0", "number": 1}, turns=[{"name": "t0", "number": 1}])
    index.see_session(version(on, 1))
    index.see_session(version(aged("new", 5), 1))
    end = {"name": "t0", "number": 1, "finishedAt": "2026-03-01T12:00:07Z"}
    # Its runner tells the end: who looks first is in line behind the one that came meanwhile.
    ended = on.with_status(phase="Idle", turnEnd=end)
    index.see_session(version(ended, 2))
    assert index.queue_of(key("talk")) == Queue(active=0, ahead=1)
    index.see_session(version(aged("late", 9), 1))
    queued = ended.with_status(phase="Idle", reason="Queued", turn=None, turns=[{**end, "phase": "Completed"}])
    index.see_session(version(queued, 3))
    assert [k.name for k in index.slots.waiting_for(WORKFLOW)] == ["new", "talk", "late"]
    # Its place is its own, whatever its status says later; and it leaves the line as it came.
    index.see_session(version(queued.with_status(turnEnd={**end, "finishedAt": "2026-03-01T12:00:30Z"}), 4))
    assert [k.name for k in index.slots.waiting_for(WORKFLOW)] == ["new", "talk", "late"]
    index.forget_session(key("talk"))
    assert [k.name for k in index.slots.waiting_for(WORKFLOW)] == ["new", "late"]
    assert key("new") in bell.now


def test_a_reserved_place_counts_before_the_status_says_so(index: Index) -> None:
    index.see_session(aged("a", 1).raw())
    index.see_session(aged("b", 2).raw())
    index.reserve(key("a"))
    assert index.queue_of(key("b")) == Queue(active=1, ahead=0)
    index.release(key("a"))
    assert index.queue_of(key("b")) == Queue(active=0, ahead=1)


def test_a_job_holds_the_place_of_a_session_whose_status_is_not_written_yet(index: Index) -> None:
    index.see_session(a_session().raw())
    index.see_job(key("s"), a_job())
    assert index.slots.count_active(WORKFLOW) == 1


def test_a_place_that_is_given_away_wakes_the_next_in_line(index: Index, bell: Bell) -> None:
    index.see_definition(WORKFLOW, a_definition(maxActiveSessions=1))
    index.see_session(aged("a", 1).running().raw())
    index.see_session(aged("b", 2).raw())
    index.see_session(aged("c", 3).raw())
    assert bell.now == []
    index.see_session(version(aged("a", 1).ended(Phase.COMPLETED), 11))
    assert bell.now == [key("b")]
    assert WORKFLOW in bell.later


def test_the_head_of_the_line_that_goes_away_wakes_the_one_behind_it(index: Index, bell: Bell) -> None:
    index.see_definition(WORKFLOW, a_definition(maxActiveSessions=1))
    index.see_session(aged("a", 1).raw())
    index.see_session(aged("b", 2).raw())
    index.forget_session(key("a"))
    assert bell.now == [key("b")]


def test_sessions_that_the_api_server_refuses_do_not_hold_up_the_line(index: Index) -> None:
    index.see_session(aged("a", 1).with_status(phase="Pending", reason="Forbidden").raw())
    index.see_session(aged("b", 2).raw())
    assert index.queue_of(key("b")).ahead == 0


def test_old_and_repeated_events_change_nothing(index: Index) -> None:
    running, ended = a_session().running(), a_session().ended(Phase.COMPLETED)
    assert index.see_session(version(running, 10))
    assert index.see_session(version(ended, 12))
    assert not index.see_session(version(running, 11))
    assert not index.see_session(version(ended, 12))
    entry = index.find(key("s"))
    assert entry is not None
    assert entry.is_final


def test_progress_is_no_news_but_phase_spec_and_deletion_are(index: Index) -> None:
    running = a_session().running()
    assert index.see_session(version(running, 1))
    assert not index.see_session(version(running.with_status(progress="40%", steps=3), 2))
    assert index.see_session(version(running.with_metadata(generation=2), 3))
    assert index.see_session(version(running.with_metadata(generation=2).deleting(), 4))


def test_a_session_made_again_under_the_same_name_is_another_one(index: Index) -> None:
    index.see_session(version(a_session().running(), 50))
    assert index.see_session(version(a_session().named("s", uid="other"), 60))
    assert index.slots.count_active(WORKFLOW) == 0
    assert index.forget_session(key("s"), "uid-s") is None
    assert index.forget_session(key("s"), "other") is not None
    assert len(index) == 0


def test_a_new_sessions_body_is_kept_for_one_pass_and_never_a_large_or_changed_one(index: Index) -> None:
    raw = a_session().raw()
    index.see_session(raw, keep_body=True)
    assert index.take_body(key("s")) == raw
    assert index.take_body(key("s")) is None
    index.see_session(version(a_session().running(), 11), keep_body=True)
    assert index.take_body(key("s")) is None
    index.see_session(a_session().named("big").with_spec(inputs=["x" * 5000]).raw(), keep_body=True)
    assert index.take_body(key("big")) is None
    large = [{"name": "a", "input": "x" * 5000}]
    index.see_session(a_session().named("talk").with_spec(mode="Conversation", turns=large).raw(), keep_body=True)
    assert index.take_body(key("talk")) is None


def test_a_namespaces_conversations_are_counted_from_when_they_are_admitted_until_they_end(index: Index) -> None:
    def see(name: str, phase: str, number: int, *, is_admitted: bool = True) -> None:
        built = a_session().named(name).with_spec(mode="Conversation").with_status(phase=phase)
        index.see_session(version(built.with_status(workflow={"image": "i"}) if is_admitted else built, number))

    see("a", "Idle", 11)
    see("b", "Completed", 12)
    see("c", "Pending", 13, is_admitted=False)
    see("new", "Pending", 14, is_admitted=False)
    index.see_session(version(a_session().named("once").running(), 15))
    assert index.queue_of(key("new")).conversations == 1
    # Two passes at once cannot both have the last place.
    index.reserve_conversation(key("c"))
    assert index.queue_of(key("new")).conversations == 2
    index.release(key("c"))
    assert index.queue_of(key("new")).conversations == 1
    assert index.queue_of(key("a")).conversations == 0


def test_of_sessions_that_have_ended_few_bodies_are_kept_however_many_a_process_finds_at_its_start(
    index: Index,
) -> None:
    for number in range(MAX_ENDED_BODIES + 10):
        index.see_session(
            a_session().ended(Phase.COMPLETED).named(f"old-{number}", uid=f"u{number}").raw(), keep_body=True
        )
    assert index.take_body(key(f"old-{MAX_ENDED_BODIES - 1}")) is not None
    index.see_session(a_session().ended(Phase.COMPLETED).named("late", uid="late").raw(), keep_body=True)
    assert index.take_body(key("late")) is not None, "there is room for one again"
    assert index.take_body(key(f"old-{MAX_ENDED_BODIES + 1}")) is None
    index.see_session(a_session().named("new", uid="new").raw(), keep_body=True)
    assert index.take_body(key("new")) is not None, "what waits for its Job is kept all the same"


def test_a_stale_body_is_not_kept_for_the_second_half_of_a_pass(index: Index) -> None:
    index.see_session(version(a_session(), 10))
    index.see_session(version(a_session().with_metadata(generation=2), 11))
    index.keep_body(key("s"), version(a_session(), 10))
    assert index.take_body(key("s")) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, True), ({"a": 1}, True), ("x" * 5000, False), (list(range(1000)), False), ({"a": ["x" * 4000] * 2}, False)],
)
def test_size_is_judged_without_looking_at_all_of_it(value: object, expected: bool) -> None:
    assert is_small(value) is expected


def test_children_are_remembered_while_they_exist_and_only_their_changes_are_news(index: Index) -> None:
    assert index.see_job(key("s"), a_job())
    assert not index.see_job(key("s"), a_job())
    assert index.see_pod(key("s"), a_pod())
    assert index.jobs_of(key("s"), "uid-s") == (a_job(),)
    assert index.jobs_of(key("s"), "another session of that name") == ()
    assert not index.forget_job(key("s"), "s-r1", "another uid")
    assert index.forget_job(key("s"), "s-r1")
    assert index.forget_pod(key("s"), a_pod().name)
    assert index.child_owners() == []


def test_only_what_matters_to_sessions_is_news_of_a_definition(index: Index) -> None:
    assert index.see_definition(WORKFLOW, a_definition(conditions=()))
    assert index.see_definition(WORKFLOW, a_definition())
    assert not index.see_definition(WORKFLOW, a_definition(status={"activeSessions": 4}))
    checked, stuck = (a_definition(conditions=(condition("Ready", "Unknown", why),)) for why in ("Inspecting", "Stuck"))
    assert index.see_definition(WORKFLOW, checked)
    assert index.see_definition(WORKFLOW, stuck), "what they wait for has another cause, and they say which"


def test_twenty_thousand_sessions_leave_nothing_behind(index: Index) -> None:
    for number in range(20_000):
        session = a_session().named(f"s{number}")
        index.see_session(session.raw())
        index.forget_session(key(f"s{number}"))
    sizes = {name: len(value) for name, value in vars(index).items() if isinstance(value, dict)}
    assert set(sizes.values()) == {0}
