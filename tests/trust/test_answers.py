"""What the code in a pod can write of answers: nothing. It asks, and says what it took; people do the rest."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.kube import GROUP_PATH, Json, Space
from tests.support.waiting import wait_for
from tests.trust.roles import JSON_PATCH, Answer, Client, a_pod_of, a_user

AT = "2026-03-01T12:00:00Z"


def path(space: Space, part: str = "") -> str:
    return f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/s{part}"


def question(id_: str = "q", **fields: Any) -> Json:
    asked = {"id": id_, "node": "pay", "prompt": "pay 10?", "value": {"amount": 10, "to": None}, "askedAt": AT}
    return {**asked, "schema": {"type": "object"}, "options": [{"value": {"ok": True}, "label": "yes"}], **fields}


def digest(asked: Json) -> str:
    """Return a question's digest as the guide makes it."""
    shown = {name: asked.get(name) for name in ("prompt", "value", "options", "schema")}
    text = json.dumps(shown, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write(pod: Client, space: Space, **status: Any) -> Answer:
    """Write fields of the status whole, as a runner does."""
    patch = [{"op": "add", "path": f"/status/{name}", "value": value} for name, value in status.items()]
    return pod.request("PATCH", path(space, "/status"), patch, kind=JSON_PATCH)


def run(space: Space) -> Client:
    """Start session ``s``; return the code in its pod."""
    space.define()
    space.operator()
    space.start("s")
    name = space.wait_pod("s-r1")
    space.wait_status("s", "Creating")
    pod = a_pod_of(space.plane, space.name, name)
    assert write(pod, space, phase="Running").is_done
    return pod


def ask(pod: Client, space: Space, *questions: Json) -> None:
    assert write(pod, space, phase="WaitingForInput", interrupts=list(questions)).is_done


def answer(space: Space, value: Any, *, by: str = "ann", id_: str = "q") -> None:
    person = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name=by)
    old = space.session("s")["spec"].get("responses", [])
    body = {"spec": {"responses": [*old, {"interruptId": id_, "by": by, "value": value}]}}
    assert person.request("PATCH", path(space), body).is_done
    wait_for(
        lambda: space.status("s").get("answers", []),
        lambda found: any(each["interruptId"] == id_ for each in found),
        what=f"the answer to {id_} accepted",
        every=0.05,
    )


def test_an_accepted_answer_is_recorded_with_its_author_in_both_places(space: Space) -> None:
    pod = run(space)
    ask(pod, space, question(), question("r"))
    answer(space, {"ok": True})
    status = space.status("s")
    (recorded,) = status["answers"]
    made = {"at": recorded["at"], "digest": digest(question())}
    assert recorded == {"interruptId": "q", "by": "ann", "value": {"ok": True}, **made}
    answered, openly = status["interrupts"]
    assert (answered["answer"], answered["answeredBy"], answered["answeredAt"]) == (
        recorded["value"],
        "ann",
        recorded["at"],
    )
    assert "answeredAt" not in openly


OPEN = question()
ANSWERED: Json = {"answer": {"ok": True}, "answeredAt": AT, "answeredBy": "cfo@example.org"}


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda _: [{**OPEN, **ANSWERED}], id="an answer in somebody's name"),
        pytest.param(lambda _: [{**OPEN, "answeredAt": AT}], id="a time alone"),
        pytest.param(lambda _: [{**OPEN, "answer": {"ok": True}}], id="an answer alone"),
        pytest.param(lambda _: [{**OPEN, "answeredBy": "cfo@example.org"}], id="a name alone"),
        pytest.param(lambda _: [OPEN, question("new", **ANSWERED)], id="a question that comes answered"),
        pytest.param(lambda _: [{**OPEN, "prompt": "pay 1000?"}], id="another text"),
        pytest.param(lambda _: [{**OPEN, "value": {"amount": 1000, "to": None}}], id="another value"),
        pytest.param(lambda _: [{**OPEN, "value": {"amount": 10}}], id="a value without its null"),
        pytest.param(lambda _: [{**OPEN, "schema": {}}], id="another schema"),
        pytest.param(lambda _: [{**OPEN, "options": [{"value": {"ok": True}, "label": "no"}]}], id="another label"),
    ],
)
def test_a_pod_answers_no_question_and_changes_none(space: Space, forge: Callable[[Json], list[Json]]) -> None:
    pod = run(space)
    ask(pod, space, OPEN)
    refused = write(pod, space, interrupts=forge(OPEN))
    assert (refused.code, "status.interrupts: " in refused.message) == (403, True), refused
    assert space.status("s")["interrupts"] == [OPEN]


def test_a_pod_changes_takes_back_and_moves_no_answer(space: Space) -> None:
    pod = run(space)
    ask(pod, space, question(), question("r"))
    answer(space, {"ok": False})
    status = space.status("s")
    (recorded,), (mine, other) = status["answers"], status["interrupts"]
    bare = {name: mine[name] for name in mine if not name.startswith("answer")}
    forged: dict[str, Json] = {
        "the record emptied": {"answers": []},
        "the record changed": {"answers": [{**recorded, "value": {"ok": True}}]},
        "the record's author changed": {"answers": [{**recorded, "by": "bob"}]},
        "one added to the record": {"answers": [recorded, {**recorded, "interruptId": "r"}]},
        "the copy changed": {"interrupts": [{**mine, "answer": {"ok": True}}, other]},
        "the copy's author changed": {"interrupts": [{**mine, "answeredBy": "bob"}, other]},
        "asked again": {"interrupts": [bare, other]},
        "the copy moved to another question": {"interrupts": [mine, {**mine, "id": "r"}]},
        "another question under the answer": {"interrupts": [{**mine, "prompt": "pay 1?"}, other]},
        "forgotten before it was taken": {"interrupts": [{**mine, "value": None, "schema": None}, other]},
    }
    for what, fields in forged.items():
        refused = write(pod, space, **fields)
        assert refused.code == 403, (what, refused)
        assert "the operator's to write" in refused.message or "stays as it was asked" in refused.message, what
    removed = pod.request(
        "PATCH", path(space, "/status"), [{"op": "remove", "path": "/status/answers"}], kind=JSON_PATCH
    )
    assert removed.code == 403
    assert space.status("s")["answers"] == [recorded]


def test_a_question_that_is_dropped_and_asked_again_has_its_answer(space: Space) -> None:
    pod = run(space)
    ask(pod, space, question(), question("r"))
    answer(space, {"ok": False})
    assert write(pod, space, interrupts=[question("r")]).is_done
    assert write(pod, space, interrupts=[question(), question("r")]).is_done
    # Whoever answers now is told, and the first answer stands.
    bob = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="bob")
    given = space.session("s")["spec"]["responses"]
    body = {"spec": {"responses": [*given, {"interruptId": "q", "by": "bob", "value": {"ok": True}}]}}
    assert bob.request("PATCH", path(space), body).is_done
    restored = wait_for(
        lambda: space.status("s")["interrupts"][0], lambda q: "answeredAt" in q, what="the answer back", every=0.05
    )
    assert (restored["answer"], restored["answeredBy"]) == ({"ok": False}, "ann")
    assert [each["by"] for each in space.status("s")["answers"]] == ["ann"]


def test_an_answer_is_bound_to_the_question_that_was_shown(space: Space) -> None:
    pod = run(space)
    ask(pod, space, question(), question("r"))
    shown = digest(question("r"))
    answer(space, {"ok": True})
    # Both are dropped, and something else is asked under their ids.
    assert write(pod, space, interrupts=[]).is_done
    dear: Json = {"value": {"amount": 1000, "to": None}}
    assert write(pod, space, interrupts=[question(**dear), question("r", **dear)]).is_done
    ann = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="ann")
    given = space.session("s")["spec"]["responses"]
    body = {"spec": {"responses": [*given, {"interruptId": "r", "by": "ann", "value": {"ok": True}, "digest": shown}]}}
    assert ann.request("PATCH", path(space), body).is_done
    told = wait_for(
        lambda: str(space.status("s")["conditions"]), lambda text: "/digest" in text, what="the refusal", every=0.05
    )
    assert "the answer is to another question" in told
    assert "another question was answered under the id 'q' before" in told
    status = space.status("s")
    assert [(each["interruptId"], each["digest"]) for each in status["answers"]] == [("q", digest(question()))]
    assert not any("answeredAt" in each for each in status["interrupts"])


def test_a_pod_writes_all_that_both_contracts_write(space: Space) -> None:
    pod = run(space)
    ask(pod, space, question(), question("r"))
    answer(space, {"ok": True})
    status = space.status("s")
    mine, other = status["interrupts"]
    # It takes the answer, asks more, forgets what it took, and drops it at last.
    taken = {**mine, "resumedAt": AT}
    assert write(pod, space, interrupts=[taken, other]).is_done
    assert write(pod, space, interrupts=[taken, other, question("new")]).is_done
    short = {name: taken[name] for name in taken if name not in ("value", "schema", "answer")} | {"options": []}
    assert write(pod, space, interrupts=[short, other, question("new")]).is_done
    assert write(pod, space, interrupts=[other, question("new")]).is_done
    # What a recovered run asks no more goes, too.
    assert write(pod, space, interrupts=[other]).is_done


def test_full_lists_fit_into_the_budget_of_the_policy(space: Space) -> None:
    """256 questions with ids of 128 characters: asked, taken, and forgotten, each at once."""
    pod = run(space)
    full = [question(f"{n:03}{'i' * 125}", value={"text": "x" * 200}) for n in range(256)]
    ask(pod, space, *full)
    answered = [{**each, "answer": {"ok": n}, "answeredAt": AT, "answeredBy": "a" * 200} for n, each in enumerate(full)]
    space.report("s", interrupts=answered)
    refused = write(pod, space, interrupts=[*answered[:-1], {**answered[-1], "answeredBy": "b"}])
    assert (refused.code, "the operator's to write" in refused.message) == (403, True), refused
    taken = [{**each, "resumedAt": AT} for each in answered]
    assert write(pod, space, interrupts=taken).is_done
    short = [
        {name: each[name] for name in each if name not in ("value", "schema", "answer")} | {"options": []}
        for each in taken
    ]
    assert write(pod, space, interrupts=short).is_done
    assert write(pod, space, interrupts=short[128:]).is_done
    assert write(pod, space, interrupts=[]).is_done
