"""What routes decide: versions, ranges, selectors, bodies, places in a graph, and who is asked."""

import base64
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.inboxes import find_deadline, list_open_questions
from agentic_core.lifecycle import Phase
from agentic_gateway.api.checkpoints import build_checkpoints, place_session
from agentic_gateway.api.follow_ups import complete_fork
from agentic_gateway.api.listing import build_field_selector, is_wanted, read_cursor, read_search, write_cursor
from agentic_gateway.api.models import NewFork
from agentic_gateway.api.representation import matches, read_versions
from agentic_gateway.api.results import encode_digest
from agentic_gateway.api.strict_route import read_body, require_json
from agentic_gateway.api.validation import refuse_request
from agentic_gateway.problems import Refused
from agentic_gateway.web.ranges import read_range
from agentic_store.records import PageKey

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (b'{"a": [1, NaN]}', "/a/1"),
        (b'{"a": 1e400}', "/a"),
        (b'{"a": 1000000000000000000000000000000}', "/a"),
        (b'{"a": ' + b"9" * 1_000_000 + b"}", "/a"),
        (b'{"a": {"b": "\\ud800"}}', "/a/b"),
        (b'{"a": "\\u0000"}', "/a"),
        (b'{"a": 1, "a": 2}', ""),
        (b"[" * 100_000, ""),
        (b'{"a":' * 900 + b"1" + b"}" * 900, ""),
        (b"{", ""),
        (b"\xff", ""),
    ],
)
def test_a_body_that_could_not_be_stored_is_refused_at_its_place(text: bytes, pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        read_body(text)
    assert (refused.value.status, [each.pointer for each in refused.value.errors]) == (400, [pointer])


@pytest.mark.parametrize("text", [b'{"a": 1.0}', b'{"a": 9223372036854775807}', '{"ключ": "🙂"}'.encode(), b"null"])
def test_a_body_that_can_be_stored_is_taken(text: bytes) -> None:
    read_body(text)


@given(st.binary(max_size=200))
def test_whatever_comes_as_a_body_is_taken_or_refused(text: bytes) -> None:
    with suppress(Refused):
        read_body(text)


def test_a_body_is_sent_as_json() -> None:
    for fine in ("application/json", "application/json; charset=utf-8", "application/merge-patch+json"):
        require_json(fine)
    for other in ("", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp"):
        with pytest.raises(Refused) as refused:
            require_json(other)
        assert refused.value.status == 415


def test_if_match_names_versions() -> None:
    assert read_versions(None) is None
    assert read_versions("*") is None
    assert read_versions('"12"') == frozenset({"12"})
    assert read_versions('"12", W/"13", "14"') == frozenset({"12", "14"})
    for never in ("12", 'W/"12"', '""', '"abc"', '"-1"', f'"{"9" * 30}"', "x"):
        with pytest.raises(Refused) as refused:
            read_versions(never)
        assert refused.value.status == 412


def test_if_none_match_takes_weak_tags_lists_and_all() -> None:
    assert matches('"12"', "12")
    assert matches('W/"12"', "12")
    assert matches('"11", "12"', "12")
    assert matches("*", "12")
    assert not matches('"11"', "12")
    assert not matches("12", "12")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=5-", (5, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=99-99", (99, 100)),
        ("bytes=9-5", None),
        ("bytes=0-1,5-6", None),
        ("items=0-9", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=٣-", None),
    ],
)
def test_one_range_of_bytes_is_understood(header: str | None, expected: tuple[int, int] | None) -> None:
    assert read_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=1000-2000", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(Refused) as refused:
        read_range(header, 100)
    assert (refused.value.status, refused.value.headers["Content-Range"]) == (416, "bytes */100")


@given(st.text(), st.integers(1, 10**9))
def test_whatever_a_range_says_it_is_within_the_bytes(header: str, size: int) -> None:
    try:
        found = read_range(header, size)
    except Refused:
        return
    assert found is None or 0 <= found[0] < found[1] <= size


def test_a_digest_is_written_as_the_header_wants_it() -> None:
    assert base64.b64decode(encode_digest("00ff" * 16)) == bytes.fromhex("00ff" * 16)


def test_sessions_are_selected_on_the_server() -> None:
    assert build_field_selector(None, "", "") == ""
    assert build_field_selector(Phase.RUNNING, "report", "") == "status.phase=Running,spec.workflowRef.name=report"
    assert build_field_selector(None, "", "a=b,c\\d") == "spec.createdBy=a\\=b\\,c\\\\d"


def test_a_session_without_a_phase_is_pending() -> None:
    assert build_field_selector(Phase.PENDING, "", "").count("status.phase!=") == len(Phase) - 1
    assert is_wanted({"spec": {}}, Phase.PENDING, "", "")
    assert not is_wanted({"status": {"phase": "Running"}}, Phase.PENDING, "", "")


def test_a_place_in_a_search_comes_back_as_it_was() -> None:
    key = PageKey(datetime(2026, 1, 1, 12, tzinfo=UTC), "s1")
    assert read_cursor(write_cursor(key)) == key
    assert read_cursor("") is None


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_is_no_place_in_a_search_is_refused(text: str) -> None:
    with suppress(Refused):
        read_cursor(text)


@pytest.mark.parametrize("text", ["", "1", "[]", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\u0000"}', "[" * 9999])
def test_a_search_is_a_json_object(text: str) -> None:
    with pytest.raises(Refused):
        read_search(text)


def test_faults_of_a_request_have_their_place_and_keyword() -> None:
    faults = [
        {"type": "missing", "loc": ("body", "spec"), "msg": "Field required"},
        {"type": "extra_forbidden", "loc": ("body", "a/b"), "msg": "Extra"},
        {"type": "int_parsing", "loc": ("query", "limit"), "msg": "no integer"},
    ]
    errors = refuse_request(faults).errors
    assert [(each.pointer, each.keyword) for each in errors] == [
        ("/spec", "required"),
        ("/a~1b", "additionalProperties"),
        ("", "type"),
    ]
    assert errors[2].message == "query limit: no integer"


def a_session(**status: Any) -> Json:
    return {
        "metadata": {"name": "s1", "namespace": "team"},
        "spec": {"workflowRef": {"name": "w"}, "createdBy": "ann"},
        "status": status,
    }


def test_a_fork_overrides_config_and_context_key_by_key() -> None:
    spec = {"forkFrom": {"session": "s1"}, "config": {"tags": ["a"], "recursion_limit": 5}}
    given_ = NewFork.model_validate({"config": {"recursion_limit": 9}, "context": {"x": 1}, "conversation": True})
    assert complete_fork(spec, given_) == {
        "forkFrom": {"session": "s1"},
        "config": {"tags": ["a"], "recursion_limit": 9},
        "context": {"x": 1},
        "mode": "Conversation",
    }
    assert complete_fork(spec, NewFork.model_validate({"inputs": None}))["inputs"] is None
    assert "inputs" not in complete_fork(spec, NewFork.model_validate({}))


def test_checkpoints_are_shown_newest_first_with_those_of_turns_further_back() -> None:
    session = a_session(
        history=[{"id": "c2", "step": 1, "node": "plan"}, {"id": "c3", "step": 2, "node": "write", "next": "end"}],
        turns=[
            {"name": "t1", "checkpointId": "c1", "finishedAt": "2026-01-01T00:00:00Z"},
            {"name": "t2", "checkpointId": "c3"},
        ],
        checkpointId="c3",
    )
    found = build_checkpoints(session)
    assert [(each.id, each.turn, each.node) for each in found.items] == [
        ("c3", "t2", "write"),
        ("c2", None, "plan"),
        ("c1", "t1", None),
    ]
    assert found.last == "c3"
    assert build_checkpoints({"metadata": {}, "spec": {}}).items == ()


DEFINITION: Json = {
    "metadata": {"generation": 2},
    "spec": {"graph": "main"},
    "status": {"graph": {"nodes": ["plan", "write"], "edges": ["plan -> write"]}},
}


def test_a_session_has_its_place_in_the_graph() -> None:
    session = a_session(
        currentNode="write", history=[{"id": "c1", "node": "plan"}], workflow={"generation": 1}, error={"node": "write"}
    )
    found = place_session(DEFINITION, session)
    assert (found.current_node, found.done, found.failed_node, found.is_pinned) == ("write", ("plan",), "write", False)


def test_a_graph_that_nobody_drew_is_not_shown() -> None:
    other = a_session()
    other["spec"]["workflowRef"]["graph"] = "second"
    for definition, session in ((DEFINITION, other), ({"metadata": {}, "spec": {}}, a_session())):
        with pytest.raises(Refused) as refused:
            place_session(definition, session)
        assert refused.value.status == 409


def asked(id_: str = "q", **more: Any) -> Json:
    return {"id": id_, "prompt": "Go?", "askedAt": "2026-01-01T00:00:00Z", **more}


def open_for(session: Json, person: str, *groups: str) -> list[str]:
    return [each.id for each in list_open_questions(session, person, groups)]


def test_an_open_question_waits_for_everybody_until_somebody_answers() -> None:
    session = a_session(interrupts=[asked("q1"), asked("q2", answeredAt="2026-01-01T00:00:01Z")])
    assert open_for(session, "bob") == ["q1"]
    session["spec"]["responses"] = [{"interruptId": "q1", "by": "eve"}]
    assert open_for(session, "bob") == []
    refused = {"type": "InputAccepted", "status": "False", "reason": "InvalidAnswer", "observedGeneration": 1}
    session["status"]["conditions"] = [refused]
    assert open_for(session, "bob") == ["q1"]


def test_a_rule_says_whose_inbox_a_question_is_in() -> None:
    session = a_session(interrupts=[asked()], approvals=[{"interruptId": "q", "rule": {"notCreator": True}}])
    assert (open_for(session, "ann"), open_for(session, "bob")) == ([], ["q"])
    session["status"]["turn"] = {"by": "bob"}
    assert open_for(session, "bob") == []
    session["status"]["approvals"] = [{"interruptId": "q", "rule": {"groups": [["finance", "board"], ["board"]]}}]
    assert (open_for(session, "bob", "finance"), open_for(session, "bob", "board")) == ([], ["q"])
    session["status"]["approvals"] = [{"interruptId": "q", "problem": "no group is known"}]
    assert open_for(session, "bob") == []


def test_a_question_for_two_people_stays_until_each_has_answered() -> None:
    session = a_session(interrupts=[asked()], approvals=[{"interruptId": "q", "rule": {"count": 2}}])
    session["spec"]["responses"] = [{"interruptId": "q", "by": "eve"}]
    assert (open_for(session, "eve"), open_for(session, "bob")) == ([], ["q"])
    (question,) = list_open_questions(session, "bob", ())
    assert question.needed.startswith("0 of 2")


def test_the_deadline_is_that_of_the_oldest_open_question() -> None:
    session = a_session(interrupts=[asked("a"), asked("b", askedAt="2026-01-02T00:00:00Z")])
    assert find_deadline(session) is None
    session["spec"]["inputDeadline"] = {"seconds": 60}
    assert find_deadline(session) == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    session["status"]["interrupts"][0]["askedAt"] = "nonsense"
    assert find_deadline(session) == datetime(2026, 1, 2, 0, 1, tzinfo=UTC)
    session["spec"]["inputDeadline"]["seconds"] = 10**15
    assert find_deadline(session) is None
