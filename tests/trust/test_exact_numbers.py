"""What may not change keeps its numbers: CEL takes an integer for equal to the double that is nearest to it."""

from typing import Any

import pytest

from tests.support.apiclient import Json
from tests.support.kube import Space
from tests.trust.roles import a_user
from tests.trust.test_answers import answer, ask, path, question, run, write

EXACT = 2**53 + 1
NEAR = 2.0**53

SPECS: dict[str, tuple[Json, Json]] = {
    "inputs": ({"inputs": {"amounts": [EXACT]}}, {"inputs": {"amounts": [NEAR]}}),
    "config": ({"config": {"configurable": {"amount": EXACT}}}, {"config": {"configurable": {"amount": NEAR}}}),
    "context": ({"context": {"amount": EXACT}}, {"context": {"amount": NEAR}}),
    "inputDeadline": (
        {"inputDeadline": {"seconds": 600, "onExpiry": "Resume", "value": {"amount": EXACT}}},
        {"inputDeadline": {"value": {"amount": NEAR}}},
    ),
    "inputDeadline, another value": (
        {"inputDeadline": {"seconds": 600, "onExpiry": "Resume", "value": {"ok": False}}},
        {"inputDeadline": {"value": {"ok": True}}},
    ),
    "forkFrom": (
        {"forkFrom": {"session": "other", "values": {"amount": EXACT}}},
        {"forkFrom": {"values": {"amount": NEAR}}},
    ),
    "forkFrom, other values": (
        {"forkFrom": {"session": "other", "values": {"ok": False}}},
        {"forkFrom": {"values": {"ok": True}}},
    ),
}


@pytest.mark.parametrize("name", SPECS)
def test_nobody_changes_a_number_of_a_session_that_is_there(space: Space, name: str) -> None:
    given, changed = SPECS[name]
    ann = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="ann")
    space.start("s", **given)
    refused = ann.request("PATCH", path(space), {"spec": changed})
    assert refused.code in (403, 422), refused
    assert name.partition(",")[0] in refused.message


def test_a_pod_changes_no_number_of_what_was_asked_and_answered(space: Space) -> None:
    pod = run(space)
    asked: dict[str, Any] = {"value": {"amount": EXACT}, "schema": None}
    ask(pod, space, question(**asked), question("r", **asked))
    first = space.status("s")["interrupts"][0]
    near = {**first, "value": {"amount": NEAR}}
    refused = write(pod, space, interrupts=[near, space.status("s")["interrupts"][1]])
    assert (refused.code, "stays as it was asked" in refused.message) == (403, True), refused
    answer(space, {"amount": EXACT})
    status = space.status("s")
    (recorded,), (mine, other) = status["answers"], status["interrupts"]
    for fields in (
        {"answers": [{**recorded, "value": {"amount": NEAR}}]},
        {"interrupts": [{**mine, "answer": {"amount": NEAR}}, other]},
    ):
        refused = write(pod, space, **fields)
        assert (refused.code, "the operator's to write" in refused.message) == (403, True), refused
    assert space.status("s")["answers"] == [recorded]
