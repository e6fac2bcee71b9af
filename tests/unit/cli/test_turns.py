"""The turns of a conversation: what became of them, their names, and how they are added and ended."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project
from agentic_cli.interaction.turns import NewTurn, cancel_turn
from agentic_cli.kube.errors import NotReached
from agentic_cli.model.exit_status import ExitStatus, find_outcome, find_turn_outcome
from agentic_cli.model.manifests import build_cancellation, build_turn, build_turn_patch
from agentic_cli.model.sessions import Session, parse_session
from agentic_cli.model.turns import (
    choose_name,
    find_current,
    find_last_ended,
    find_turn,
    is_idle,
    list_pending,
    list_turns,
    owns_result,
    require_open,
    require_turn,
)
from agentic_core.errors import ApiUnavailable, Conflict, PermanentError
from tests.support.raw_sessions import a_raw_conversation, a_raw_session, an_interrupt

ASKED = {"name": "t0002", "input": {"messages": [{"role": "user", "content": "hi"}]}, "by": "ann"}
RUNNING = {"phase": "Running", "turnCount": 2, "turn": {"name": "t0002", "number": 2, "by": "ann"}}
FIRST = {"name": "t0001", "number": 1, "phase": "Completed", "by": "bob"}
SECOND = {"name": "t0002", "number": 2, "phase": "Running", "by": "ann", "startedAt": "2026-05-01T10:00:05Z"}
END = {"name": "t0002", "number": 2, "phase": "Completed", "checkpointId": "c2", "finishedAt": "2026-05-01T10:00:09Z"}


def a_conversation(*spec_turns: dict[str, Any], status: dict[str, Any] | None = None, **spec: Any) -> Session:
    return parse_session(a_raw_conversation(*spec_turns, status=status, **spec))


def phases_of(session: Session) -> list[tuple[str, str]]:
    return [(turn.name, turn.phase) for turn in list_turns(session)]


# -- what became of them


def test_turns_are_those_that_were_taken_up_and_then_those_that_wait() -> None:
    session = a_conversation({"name": "later"}, ASKED, {"name": "t0001"}, status={**RUNNING, "turns": [SECOND, FIRST]})
    assert phases_of(session) == [("t0001", "Completed"), ("t0002", "Running"), ("later", "Queued")]
    assert [turn.name for turn in list_pending(session)] == ["t0002", "later"]
    current = find_current(session)
    assert current is not None
    assert (current.name, current.number, current.by, current.started_at) == (
        "t0002",
        2,
        "ann",
        "2026-05-01T10:00:05Z",
    )


def test_the_runners_word_of_an_end_counts_before_the_operator_has_recorded_it() -> None:
    status = {**RUNNING, "phase": "Idle", "turns": [FIRST, SECOND], "turnEnd": END, "result": {"a": 1}}
    session = a_conversation(ASKED, status=status)
    ended = require_turn(session, "t0002")
    assert (ended.phase, ended.checkpoint, ended.finished_at) == ("Completed", "c2", "2026-05-01T10:00:09Z")
    assert owns_result(session, ended)
    assert not owns_result(session, require_turn(session, "t0001"))
    assert is_idle(session)


def test_an_end_of_an_earlier_turn_of_the_name_is_no_end() -> None:
    status = {**RUNNING, "turns": [FIRST, SECOND], "turnEnd": {**END, "number": 1}}
    assert require_turn(a_conversation(ASKED, status=status), "t0002").phase == "Running"


def test_the_last_that_ended_is_the_one_with_the_highest_number_whoever_ended_it() -> None:
    failed = {**SECOND, "phase": "Failed", "error": {"type": "ImagePullFailed", "message": "no such image"}}
    refused = {"name": "x", "phase": "Refused"}
    status = {"phase": "Idle", "turns": [FIRST, failed, refused], "turnEnd": {**END, "name": "t0001", "number": 1}}
    session = a_conversation(status=status)
    last = find_last_ended(session)
    assert last is not None
    assert (last.name, last.error) == ("t0002", "ImagePullFailed: no such image")
    assert not owns_result(session, last)
    assert owns_result(session, require_turn(session, "t0001"))


def test_who_names_a_turn_that_is_not_there_is_told_those_that_are() -> None:
    with pytest.raises(PermanentError, match="has no turn 'x'; its turns: t0002"):
        require_turn(a_conversation(ASKED), "x")


# -- exit statuses


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({"phase": "Idle"}, ExitStatus.COMPLETED),
        ({"phase": "Idle", "turns": [FIRST]}, ExitStatus.COMPLETED),
        ({"phase": "Idle", "turns": [{**FIRST, "phase": "Failed"}]}, ExitStatus.FAILED),
        ({"phase": "Idle", "turns": [{**FIRST, "phase": "Canceled"}]}, ExitStatus.STOPPED),
        ({"phase": "Running", **RUNNING, "turns": [FIRST, SECOND]}, None),
        ({"phase": "Pending"}, None),
        ({"phase": "Completed", "turns": [{**FIRST, "phase": "Failed"}]}, ExitStatus.COMPLETED),
    ],
)
def test_an_idle_conversation_counts_as_its_last_turn_ended(status: dict[str, Any], outcome: ExitStatus | None) -> None:
    assert find_outcome(a_conversation(status=status)) is outcome


def test_a_conversation_with_a_turn_that_waits_or_that_is_being_closed_goes_on() -> None:
    assert find_outcome(a_conversation(ASKED, status={"phase": "Idle"})) is None
    assert find_outcome(a_conversation(status={"phase": "Idle"}, close=True)) is None


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({"phase": "Idle"}, None),
        ({**RUNNING, "turns": [SECOND]}, None),
        ({"phase": "Idle", "turns": [{**SECOND, "phase": "Completed"}]}, ExitStatus.COMPLETED),
        ({"phase": "Idle", "turns": [{**SECOND, "phase": "Failed"}]}, ExitStatus.FAILED),
        ({"phase": "Idle", "turns": [{"name": "t0002", "phase": "Refused"}]}, ExitStatus.FAILED),
        ({"phase": "Idle", "turns": [{**SECOND, "phase": "Canceled"}]}, ExitStatus.STOPPED),
        ({"phase": "Stopped"}, ExitStatus.STOPPED),
        ({"phase": "Completed"}, ExitStatus.FAILED),
        (
            {**RUNNING, "phase": "WaitingForInput", "turns": [SECOND], "interrupts": [an_interrupt()]},
            ExitStatus.WAITING,
        ),
    ],
)
def test_a_turn_has_a_status_of_its_own(status: dict[str, Any], outcome: ExitStatus | None) -> None:
    assert find_turn_outcome(a_conversation(ASKED, status=status), "t0002", may_answer=False) is outcome


def test_a_turn_whose_question_somebody_answers_here_goes_on() -> None:
    status = {**RUNNING, "phase": "WaitingForInput", "turns": [SECOND], "interrupts": [an_interrupt()]}
    assert find_turn_outcome(a_conversation(ASKED, status=status), "t0002") is None


# -- names


@pytest.mark.parametrize(
    ("turns", "status", "name"),
    [
        ((), {}, "t0001"),
        (({"name": "t0001"},), {}, "t0002"),
        (({"name": "hello"},), {}, "t0002"),
        (({"name": "t0007"},), {}, "t0008"),
        ((), {"turnCount": 9999, "turns": [{**FIRST, "name": "t9999", "number": 9999}]}, "t10000"),
        (({"name": "t0003"}, {"name": "t0004"}), {"turnCount": 3, "turns": [{**FIRST, "name": "t0003"}]}, "t0005"),
        ((), {"turnCount": 40}, "t0041"),
    ],
)
def test_a_name_is_the_next_number_that_no_turn_has_had(
    turns: tuple[dict[str, Any], ...], status: dict[str, Any], name: str
) -> None:
    assert choose_name(a_conversation(*turns, status=status)) == name


# -- who takes turns


@pytest.mark.parametrize(
    ("session", "complaint"),
    [
        (a_raw_session(), "no conversation .* `agentic fork s --conversation`"),
        (a_raw_conversation(status={"phase": "Stopped"}), "is Stopped: `agentic fork c --conversation`"),
        (a_raw_conversation(close=True), "is being closed"),
        (a_raw_conversation(stop=True), "is being closed"),
    ],
)
def test_what_takes_no_turns_says_what_does(session: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PermanentError, match=complaint):
        require_open(parse_session(session))


# -- patches


def test_the_first_turn_makes_the_list_and_replaces_none() -> None:
    turn = build_turn("t0001", "ann", input=None, command=None, preempt="Rollback")
    assert turn == {"name": "t0001", "preempt": "Rollback", "by": "ann"}
    assert build_turn_patch(a_conversation(), turn) == [
        {"op": "test", "path": "/metadata/uid", "value": "uid-of-c"},
        {"op": "test", "path": "/spec/turns", "value": None},
        {"op": "add", "path": "/spec/turns", "value": [turn]},
    ]


def test_the_next_turn_goes_to_the_end_of_the_list() -> None:
    assert build_turn_patch(a_conversation(ASKED), build_turn("t0003", ""))[-1] == {
        "op": "add",
        "path": "/spec/turns/-",
        "value": {"name": "t0003"},
    }


def test_a_cancellation_is_of_the_turn_that_was_read_and_signed() -> None:
    assert build_cancellation(a_conversation({"name": "a"}, ASKED), "t0002", "bob")[1:] == [
        {"op": "test", "path": "/spec/turns/1/name", "value": "t0002"},
        {"op": "add", "path": "/spec/turns/1/cancel", "value": True},
        {"op": "add", "path": "/spec/turns/1/cancelledBy", "value": "bob"},
    ]


# -- adding under contention and faults


class Cluster:
    """A session behind an API server that keeps names unique, with other clients and with lost messages.

    What the API server itself does with these patches is in ``tests/integration/test_cli_conversations.py``.
    """

    def __init__(self, faults: Sequence[str] = ()) -> None:
        self.raw = a_raw_conversation(status={"phase": "Idle"})
        self.others = 0
        self._faults = list(faults)
        self._late: list[Callable[[], Any]] = []

    def fetch_username(self) -> str:
        return "ann"

    def fetch_session(self, _name: str) -> Session:
        self._deliver()
        return parse_session(self.raw)

    def change_session(self, _name: str, operations: Sequence[dict[str, Any]], *, manager: str = "agentic") -> Session:
        fault = self._faults.pop(0) if self._faults else ""
        match fault:
            case "unreachable":
                raise NotReached("no connection")
            case "request lost":
                raise ApiUnavailable("silent")
            case "late":
                self._late.append(lambda: self._apply(operations, manager))
                raise ApiUnavailable("silent")
            case "overtaken":
                self.others += 1
                taken = choose_name(parse_session(self.raw))
                self._append({"name": taken, "input": f"other {self.others}", "by": "ann"}, "another")
        changed = self._apply(operations, manager)
        if fault == "answer lost":
            raise ApiUnavailable("silent")
        return changed

    def _deliver(self) -> None:
        for arrive in self._late:
            with contextlib.suppress(Conflict):
                arrive()
        self._late.clear()

    def _apply(self, operations: Sequence[dict[str, Any]], manager: str) -> Session:
        last = operations[-1]
        if last["path"] == "/spec/turns" and self.raw["spec"].get("turns"):
            raise Conflict("test failed")
        self._append(last["value"][0] if isinstance(last["value"], list) else last["value"], manager)
        return parse_session(self.raw)

    def _append(self, turn: dict[str, Any], manager: str) -> None:
        turns = self.raw["spec"].get("turns") or []
        if any(each["name"] == turn["name"] for each in turns):
            raise Conflict("Duplicate value")
        key = f'k:{{"name":"{turn["name"]}"}}'
        fields = [*self.raw["metadata"].get("managedFields", ())]
        fields.append({"manager": manager, "fieldsV1": {"f:spec": {"f:turns": {key: {}}}}})
        self.raw = {
            **self.raw,
            "metadata": {**self.raw["metadata"], "managedFields": fields},
            "spec": {**self.raw["spec"], "turns": [*turns, turn]},
        }

    def inputs(self) -> list[Any]:
        self._deliver()
        return [turn["input"] for turn in self.raw["spec"].get("turns", ())]


def add(cluster: Cluster, text: str) -> NewTurn:
    clock = Clock(now=lambda: 0.0, sleep=lambda _: None)
    turn = NewTurn(cast("Project", cluster), "c", clock=clock, input=text)
    turn.add()
    return turn


@given(
    st.lists(st.sampled_from(["", "overtaken", "request lost", "late", "answer lost"]), max_size=12),
    st.integers(1, 4),
)
def test_a_turn_is_added_once_whatever_is_lost_on_the_way(faults: list[str], count: int) -> None:
    cluster = Cluster(faults)
    texts = [f"mine {number}" for number in range(count)]
    sent = []
    for text in texts:
        try:
            added = add(cluster, text)
        except ApiUnavailable:
            # The person is told that nothing is known of it: it is there once or not at all.
            assert cluster.inputs().count(text) <= 1
            continue
        sent.append(text)
        found = find_turn(parse_session(cluster.raw), added.name)
        assert found is not None
        assert found.spec["input"] == text
    inputs = cluster.inputs()
    assert [inputs.count(text) for text in sent] == [1] * len(sent)
    assert [inputs.count(f"other {number}") for number in range(1, cluster.others + 1)] == [1] * cluster.others


def test_an_api_server_that_cannot_be_reached_is_told_at_once() -> None:
    cluster = Cluster(["unreachable"])
    with pytest.raises(NotReached):
        add(cluster, "hi")
    assert cluster.inputs() == []


def test_the_same_words_of_the_same_person_at_once_are_two_turns() -> None:
    cluster = Cluster(["overtaken"])
    cluster.others = 0
    add(cluster, "other 1")
    assert cluster.inputs() == ["other 1", "other 1"]


def test_a_turn_that_is_over_is_left_alone() -> None:
    cluster = Cluster()
    cluster.raw = a_raw_conversation(ASKED, status={"phase": "Idle", "turns": [{**SECOND, "phase": "Completed"}]})
    assert cancel_turn(cast("Project", cluster), "c", "t0002").phase == "Completed"
