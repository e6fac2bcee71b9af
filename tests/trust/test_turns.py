"""Turns of a conversation: whose they are, that they stay as they were written, and who says which one is on."""

from typing import Any

import pytest
import yaml

from agentic_core.contract import MAX_TURNS
from agentic_core.resources import Turn
from hack.kubectl import ROOT
from tests.support.builders import session_body
from tests.support.kube import GROUP_PATH, Json, Space
from tests.support.waiting import wait_for
from tests.trust.roles import APPLY_PATCH, JSON_PATCH, SYSTEM, Answer, Client, a_pod_of, a_user, an_account
from tests.trust.test_runner_status import make_pod

AT = "2026-03-01T12:00:00Z"


def path(space: Space, part: str = "") -> str:
    return f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/s{part}"


def a_turn(name: str = "t1", **fields: Any) -> Json:
    return {"name": name, "input": {"n": 1, "to": None}, **fields}


def converse(space: Space, *turns: Json) -> None:
    """Make the conversation ``s``, as the administrator."""
    space.start("s", mode="Conversation", turns=list(turns))


def give(client: Client, space: Space, *turns: Json) -> Answer:
    """Write the list of turns whole; a merge patch would leave out the nulls in it."""
    patch = [{"op": "add", "path": "/spec/turns", "value": list(turns)}]
    return client.request("PATCH", path(space), patch, kind=JSON_PATCH)


def apply(client: Client, space: Space, *turns: Json) -> Answer:
    """Apply turns alone, as a manager of these and of no others."""
    manager = f"{client.name}-{turns[0]['name']}"
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": "s"},
        "spec": {"turns": list(turns)},
    }
    return client.request("PATCH", f"{path(space)}?fieldManager={manager}", body, kind=APPLY_PATCH)


def turns_of(space: Space) -> list[Json]:
    found: list[Json] = space.session("s")["spec"].get("turns", [])
    return found


@pytest.fixture
def ann(space: Space) -> Client:
    return a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="ann")


@pytest.fixture
def bob(space: Space) -> Client:
    return a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="bob")


def test_people_add_turns_in_their_own_names_and_without_one(space: Space, ann: Client, bob: Client) -> None:
    converse(space)
    assert apply(ann, space, a_turn("t1", by="ann")).is_done
    assert apply(bob, space, {"name": "t2", "by": "bob", "command": {"goto": ["a", "b"]}}).is_done
    assert give(bob, space, *turns_of(space), a_turn("t3")).is_done
    assert [(each["name"], each["by"]) for each in turns_of(space)] == [("t1", "ann"), ("t2", "bob"), ("t3", "")]


def test_nobody_writes_a_turn_under_anothers_name(space: Space, ann: Client) -> None:
    converse(space)
    for answer in (give(ann, space, a_turn(by="bob")), apply(ann, space, a_turn(by="bob"))):
        assert (answer.code, "by 'bob' is theirs alone" in answer.message) == (403, True), answer
    made = ann.request(
        "POST",
        f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions",
        session_body("other", namespace=space.name, mode="Conversation", turns=[a_turn(by="bob")]),
    )
    assert (made.code, "by 'bob' is theirs alone" in made.message) == (403, True), made
    assert turns_of(space) == []


def test_who_may_not_change_the_session_adds_no_turn(space: Space) -> None:
    converse(space)
    for client in (
        a_user(space.plane, space.name, "agentic-view", name="reader"),
        a_user(space.plane, space.name, name="stranger"),
    ):
        assert give(client, space, a_turn()).code == 403


def test_a_pod_adds_changes_and_cancels_no_turn(space: Space, ann: Client) -> None:
    converse(space, a_turn())
    space.report("s", phase="Creating", run=1, jobName="s-r1")
    make_pod(space, "s-r1-abcde")
    pod = a_pod_of(space.plane, space.name, "s-r1-abcde")
    for turns in ([a_turn(), a_turn("t2")], [], [a_turn(cancel=True)], [a_turn(input={"n": 2})]):
        assert give(pod, space, *turns).code == 403
    # What it may write to is the status; the spec there is not taken in.
    patch = {"spec": {"turns": [a_turn(), a_turn("t2")]}, "status": {"message": "x"}}
    assert pod.request("PATCH", path(space, "/status"), patch).is_done
    assert [each["name"] for each in turns_of(space)] == ["t1"]


FORGED: dict[str, Json] = {
    "another input": {"input": {"n": 2, "to": None}},
    "a number that is equal as a double": {"input": {"n": 9007199254740993, "to": None}},
    "an input without its null": {"input": {"n": 1}},
    "no input": {"input": None},
    "a command": {"command": {"goto": "pay"}},
    "another author": {"by": "bob"},
    "no author": {"by": ""},
    "a checkpoint": {"fromCheckpoint": "1ef"},
    "that it goes first": {"preempt": "Interrupt"},
    "config": {"config": {"recursion_limit": 5}},
    "context": {"context": {"a": 1}},
}


@pytest.mark.parametrize("change", FORGED)
def test_a_turn_stays_as_it_was_written_also_for_its_author_and_the_operator(
    space: Space, ann: Client, bob: Client, change: str
) -> None:
    converse(space)
    number = 9007199254740992 if "double" in change else 1
    assert give(ann, space, a_turn(by="ann", input={"n": number, "to": None})).is_done
    before = turns_of(space)
    forged = {**before[0], **FORGED[change]}
    if change == "no input":
        del forged["input"]
    for client in (ann, bob, an_account(space.plane, SYSTEM, "agentic-operator")):
        refused = give(client, space, forged)
        assert (refused.code, "cannot change once it is there" in refused.message) == (403, True), refused
    assert turns_of(space) == before


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"configurable": {"thread_id": "x"}}, ".configurable.thread_id is set by the system"),
        ({"configurable": {"model": "m", "__pregel_send": 1}}, ".configurable.__pregel_send is set by the system"),
        ({"metadata": {"agentic_turn": "1"}}, ".metadata.agentic_turn is recorded by the system"),
        ({"tags": ["langsmith:hidden"]}, ".tags: langsmith:hidden would hide every node"),
    ],
)
def test_the_config_of_a_turn_leaves_what_is_the_systems(space: Space, ann: Client, config: Json, said: str) -> None:
    converse(space)
    fine = a_turn("t1", config={"configurable": {"model": "m", "deep": {"thread_id": 1}}, "tags": ["a"]})
    assert give(ann, space, fine).is_done
    refused = give(ann, space, *turns_of(space), a_turn("t2", config=config))
    assert (refused.code, f"spec.turns[t2].config{said}" in refused.message) == (422, True), refused
    assert apply(ann, space, a_turn("t2", config=config)).code == 422
    body = session_body("other", namespace=space.name, mode="Conversation", turns=[a_turn("t1", config=config)])
    made = ann.request("POST", f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions", body)
    assert (made.code, f"spec.turns[t1].config{said}" in made.message) == (422, True), made
    assert give(ann, space, *turns_of(space), a_turn("t3")).is_done


def test_turns_are_removed_by_the_operator_alone_and_keep_their_order(space: Space, ann: Client, bob: Client) -> None:
    one, two, three = (a_turn(f"t{n}", by="ann") for n in (1, 2, 3))
    converse(space)
    assert give(ann, space, one, two).is_done
    for client in (ann, bob):
        for turns, words in (
            ([one], "turn 't2' is removed by the operator alone"),
            ([], "turn 't1' is removed by the operator alone"),
            ([two, one], "turns keep their order"),
        ):
            refused = give(client, space, *turns)
            assert (refused.code, words in refused.message) == (403, True), refused
    refused = give(ann, space, three, one, two)
    assert (refused.code, "new ones come behind" in refused.message) == (403, True), refused
    assert give(ann, space, one, two, three).is_done
    operator = an_account(space.plane, SYSTEM, "agentic-operator")
    tests = [{"op": "test", "path": "/spec/turns/0/name", "value": "t1"}, {"op": "remove", "path": "/spec/turns/0"}]
    assert operator.request("PATCH", path(space), tests, kind=JSON_PATCH).is_done
    assert [each["name"] for each in turns_of(space)] == ["t2", "t3"]


def test_anybody_cancels_in_their_own_name_once_and_for_good(space: Space, ann: Client, bob: Client) -> None:
    converse(space)
    assert give(ann, space, a_turn("t1", by="ann"), a_turn("t2", by="ann")).is_done
    first, second = turns_of(space)
    refused = give(bob, space, {**first, "cancel": True, "cancelledBy": "ann"}, second)
    assert (refused.code, "by 'ann' is theirs alone" in refused.message) == (403, True), refused
    refused = give(bob, space, {**first, "cancelledBy": "bob"}, second)
    assert (refused.code, "set both" in refused.message) == (422, True), refused
    assert apply(bob, space, {"name": "t1", "cancel": True, "cancelledBy": "bob"}).is_done
    cancelled = turns_of(space)[0]
    assert cancelled == {**first, "cancel": True, "cancelledBy": "bob"}
    for change in ({"cancel": False}, {"cancelledBy": "ann"}, {"cancelledBy": ""}):
        refused = give(ann, space, {**cancelled, **change}, second)
        assert refused.code in (403, 422), refused
    assert give(ann, space, cancelled, {**second, "cancel": True}).is_done
    assert turns_of(space)[0] == cancelled


def test_a_session_that_is_over_takes_no_more_turns(space: Space, ann: Client) -> None:
    converse(space, a_turn())
    space.report("s", phase="Stopped")
    refused = give(ann, space, *turns_of(space), a_turn("t2"))
    assert (refused.code, "the session is Stopped and takes no more turns" in refused.message) == (403, True), refused
    assert give(ann, space, {**turns_of(space)[0], "cancel": True}).is_done


def test_a_conversation_that_is_being_closed_takes_no_more_turns(space: Space, ann: Client, bob: Client) -> None:
    converse(space, a_turn())
    assert give(ann, space, *turns_of(space), a_turn("t2")).is_done
    assert ann.request("PATCH", path(space), {"spec": {"close": True}}).is_done
    refused = give(bob, space, *turns_of(space), a_turn("t3"))
    assert (refused.code, "is being closed" in refused.message) == (403, True), refused
    first, second = turns_of(space)
    assert give(bob, space, first, {**second, "cancel": True}).is_done
    assert [each["name"] for each in turns_of(space)] == ["t1", "t2"]


def test_a_turn_has_one_thing_to_do_of_a_bounded_size(space: Space, ann: Client) -> None:
    converse(space)
    refused = give(ann, space, a_turn(command={"goto": "a"}))
    assert (refused.code, "turn 't1' has an input and a command" in refused.message) == (422, True), refused
    for large in ({"input": "x" * 33_000}, {"input": None, "command": {"update": {"a": "x" * 33_000}}}):
        turn = {name: value for name, value in a_turn(**large).items() if value is not None}
        refused = give(ann, space, turn)
        assert (refused.code, "more than 32 KiB" in refused.message) == (413, True), refused
    assert give(ann, space, {"name": "on"}).is_done
    assert give(ann, space, *turns_of(space), {"name": "two", "command": {"goto": "a", "update": {"b": None}}}).is_done


def test_full_lists_fit_into_the_budget_of_the_policy_and_leave_room(space: Space, ann: Client) -> None:
    """64 turns with all their fields, added, cancelled and removed at once; as much as fits is taken, and no more."""
    converse(space)
    text = {"text": "x" * 5_000, "numbers": list(range(200))}
    full = [a_turn(f"{n:03}{'t' * 60}", by="ann", input=text, context={"a": "b" * 500}) for n in range(MAX_TURNS)]
    assert give(ann, space, *full).is_done
    assert give(ann, space, *[{**each, "cancel": True, "cancelledBy": "ann"} for each in full]).is_done
    refused = give(ann, space, *turns_of(space), a_turn("more"))
    assert (refused.code, "must have at most 64 items" in refused.message) == (422, True), refused
    operator = an_account(space.plane, SYSTEM, "agentic-operator")
    assert give(operator, space, *turns_of(space)[40:]).is_done
    large = [a_turn(f"l{n}", by="ann", input="x" * 32_000) for n in range(16)]
    refused = give(ann, space, *turns_of(space), *large)
    assert (refused.code, "may take 512 KiB together" in refused.message) == (413, True), refused
    assert give(ann, space, *turns_of(space), *large[:10]).is_done
    # There is room left for answers, and to close it.
    answers = [{"interruptId": "q", "by": "ann", "value": "x" * 30_000}]
    assert ann.request("PATCH", path(space), {"spec": {"responses": answers, "close": True}}).is_done


def fill(client: Client, space: Space, value: Any) -> Answer:
    """Add turns until one is refused; return that answer."""
    for number in range(MAX_TURNS):
        answer = give(client, space, *turns_of(space), a_turn(f"t{number}", by=client.name, input=value))
        if not answer.is_done:
            return answer
    raise AssertionError("all turns were taken")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([1] * 10_500, id="numbers"),
        pytest.param({f"k{n}": n for n in range(2_400)}, id="members"),
        pytest.param([{} for _ in range(8_000)], id="objects"),
        pytest.param(["<" * 10] * 400, id="escaped"),
    ],
)
def test_whatever_turns_hold_they_can_be_cancelled_and_the_session_stopped(
    space: Space, ann: Client, value: Any
) -> None:
    """Who fills a conversation keeps nobody from ending it."""
    converse(space)
    answer = fill(ann, space, value)
    assert "may take 512 KiB together" in answer.message, answer
    cancel = [{"op": "add", "path": "/spec/turns/0/cancel", "value": True}]
    one = ann.request("PATCH", path(space), cancel, kind=JSON_PATCH)
    assert one.is_done, one
    for field in ("suspend", "close", "stop"):
        done = ann.request("PATCH", path(space), {"spec": {field: True}})
        assert done.is_done, (field, done)


def test_what_is_full_of_answers_takes_a_cancellation_and_a_stop(space: Space, ann: Client, bob: Client) -> None:
    converse(space)
    fill(ann, space, "x" * 32_000)
    size = 0
    for step in (16_000, 4_000, 1_000, 250, 60, 15, 4, 1):
        # To the last byte.
        for _ in range(5):
            answers = [{"interruptId": "q", "by": "ann", "value": "x" * (size + step)}]
            refused = ann.request("PATCH", path(space), {"spec": {"responses": answers}})
            if not refused.is_done:
                break
            size += step
    assert (refused.code, "may take 560 KiB together" in refused.message) == (413, True), refused
    cancel = [{"op": "add", "path": "/spec/turns/0/cancel", "value": True}]
    for client in (ann, bob):
        done = client.request("PATCH", path(space), cancel, kind=JSON_PATCH)
        assert done.is_done, done
    assert bob.request("PATCH", path(space), {"spec": {"close": True}}).is_done
    assert bob.request("PATCH", path(space), {"spec": {"stop": True}}).is_done


# What the code in a pod says of turns.


def a_status(phase: str = "Running", **fields: Any) -> Json:
    return {
        "phase": phase,
        "run": 2,
        "jobName": "s-r2",
        "turnCount": 2,
        "turn": {"name": "t2", "number": 2, "by": "ann", "startedAt": AT},
        "turnEnd": {"name": "t1", "number": 1, "phase": "Completed"},
        "turns": [
            {"name": "t1", "number": 1, "phase": "Completed", "by": "ann"},
            {"name": "t2", "number": 2, "phase": "Running", "by": "ann"},
        ],
        **fields,
    }


@pytest.fixture
def pod(space: Space) -> Client:
    """The code in the pod of a conversation whose second turn is on."""
    converse(space, a_turn("t1"), a_turn("t2"))
    space.report("s", phase="Creating")
    space.report("s", **a_status())
    make_pod(space, "s-r2-abcde")
    return a_pod_of(space.plane, space.name, "s-r2-abcde")


def write(pod: Client, space: Space, **status: Any) -> Answer:
    return pod.request("PATCH", path(space, "/status"), {"status": status})


END: Json = {"name": "t2", "number": 2, "phase": "Failed", "finishedAt": AT, "error": {"type": "E", "message": "m"}}


def test_a_pod_ends_the_turn_that_is_on_and_takes_the_next_one_once_it_is_on(space: Space, pod: Client) -> None:
    assert write(pod, space, phase="Idle", turnEnd={**END, "lastSeq": 9}, result={"n": 1}).is_done
    refused = write(pod, space, phase="Running")
    assert (refused.code, "a turn that the operator wrote" in refused.message) == (403, True), refused
    space.report("s", turn={"name": "t3", "number": 3, "by": ""}, turnCount=3)
    assert write(pod, space, phase="Running").is_done
    assert write(pod, space, phase="WaitingForInput").is_done


FOREIGN: dict[str, Json] = {
    "the turn that is on": {"turn": {"name": "t9", "number": 9}},
    "no turn": {"turn": None},
    "how many there were": {"turnCount": 1},
    "the records": {"turns": []},
    "an end while it runs": {"turnEnd": END},
    "an end of another turn": {"phase": "Idle", "turnEnd": {**END, "number": 3}},
    "an end under another name": {"phase": "Idle", "turnEnd": {**END, "name": "t1"}},
    "idle without an end": {"phase": "Idle"},
    "no end": {"turnEnd": None},
    "the end of the conversation": {"phase": "Completed"},
    "its failure": {"phase": "Failed"},
    "texts that steer a terminal": {"phase": "Idle", "turnEnd": {**END, "error": {"type": "E", "message": "\x1b[2J"}}},
}


@pytest.mark.parametrize("forge", FOREIGN)
def test_a_pod_says_nothing_else_of_turns(space: Space, pod: Client, forge: str) -> None:
    space.report("s", workflow={"image": "i", "runnerContract": 3})
    before = space.status("s")
    refused = write(pod, space, **FOREIGN[forge])
    assert refused.code == 403, refused
    assert space.status("s") == before


@pytest.mark.parametrize(
    "forge",
    [
        {"result": {"n": 2}},
        {"result": None},
        {"result": {"n": 1.0}},
        {"resultRef": {"url": "s3://b/k", "size": 1, "sha256": "a" * 64}},
        {"error": {"type": "E", "message": "m"}},
        {"interrupts": [{"id": "q", "value": "your password?", "askedAt": AT}]},
        {"question": "your password?"},
    ],
)
def test_a_pod_that_waits_for_a_turn_changes_no_result_and_asks_nothing(space: Space, pod: Client, forge: Json) -> None:
    end = {**END, "phase": "Completed", "error": None}
    assert write(pod, space, phase="Idle", turnEnd=end, result={"n": 1}).is_done
    # Also where a turn is on that it has not taken: it begins with phase Running.
    for turn in (None, {"name": "t3", "number": 3, "by": ""}):
        space.report("s", turn=turn, turnCount=3)
        before = space.status("s")
        refused = write(pod, space, **forge)
        assert (refused.code, "are a turn's" in refused.message) == (403, True), refused
        assert space.status("s") == before
    assert write(pod, space, message="the database is away").is_done
    assert write(pod, space, phase="Running", result=None).is_done


def test_a_pod_of_another_mode_is_never_idle(space: Space) -> None:
    space.start("s")
    space.report("s", phase="Creating")
    space.report("s", phase="Running", run=1, jobName="s-r1")
    make_pod(space, "s-r1-abcde")
    pod = a_pod_of(space.plane, space.name, "s-r1-abcde")
    for fields in ({"phase": "Idle"}, {"phase": "Idle", "turnEnd": END}, {"turnEnd": END}):
        refused = write(pod, space, **fields)
        assert refused.code == 403, refused


def test_whose_turn_it_is_does_not_answer_its_own_question(space: Space) -> None:
    """Four eyes: neither who started the conversation nor whose turn asks; a stranger to both does."""
    people = {
        name: a_user(space.plane, space.name, "agentic-edit", "agentic-view", name=name)
        for name in ("eva", "ann", "bob")
    }
    space.define(status={"runnerContract": 3}, approval={"notCreator": True})
    space.operator()
    body = session_body("s", namespace=space.name, mode="Conversation", createdBy="eva")
    made = people["eva"].request("POST", path(space).removesuffix("/s"), body)
    assert made.is_done, made
    assert apply(people["ann"], space, a_turn("nameless")).is_done
    assert apply(people["ann"], space, a_turn("t1", by="ann")).is_done
    pod = a_pod_of(space.plane, space.name, space.wait_pod("s-r1"))
    status = space.wait_status("s", "Creating")
    assert (status["turn"]["name"], status["turn"]["by"]) == ("t1", "ann")
    assert [each["phase"] for each in status["turns"]] == ["Refused", "Running"]
    assert write(pod, space, phase="Running").is_done
    assert write(pod, space, phase="WaitingForInput", interrupts=[{"id": "q", "value": "pay?"}]).is_done
    wait_for(lambda: space.status("s").get("approvals"), bool, what="the rule recorded", every=0.05)
    for name in ("eva", "ann"):
        answer = {"interruptId": "q", "by": name, "value": True}
        refused = people[name].request("PATCH", path(space), {"spec": {"responses": [answer]}})
        assert (refused.code, "answered by somebody else" in refused.message) == (403, True), refused
    assert "whose turn it is, 'ann'" in refused.message
    answer = {"interruptId": "q", "by": "bob", "value": True}
    assert people["bob"].request("PATCH", path(space), {"spec": {"responses": [answer]}}).is_done
    wait_for(lambda: space.status("s").get("answers"), bool, what="the answer accepted", every=0.05)


# The policy and the code say the same.


def test_the_policy_compares_every_field_of_a_turn_but_the_cancellation() -> None:
    documents = yaml.safe_load_all((ROOT / "manifests/operator/admission.yaml").read_text(encoding="utf-8"))
    (policy,) = [
        each
        for each in documents
        if each["kind"] == "ValidatingAdmissionPolicy" and each["metadata"]["name"].startswith("turns-are-their")
    ]
    fields = {info.alias for info in Turn.model_fields.values()} - {"cancel", "cancelledBy"}
    compared = [each["expression"] for each in policy["spec"]["variables"] if each["name"].startswith("fixed")]
    assert len(compared) == 2
    for text in compared:
        assert all(f"t.{field}" in text or f"t.?{field}" in text for field in fields)
