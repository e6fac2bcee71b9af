"""What becomes of an answer where one is there already."""

from typing import Any

import pytest

from agentic_gateway.api.answers import build_response_patch
from agentic_gateway.api.models import NewResponse
from agentic_gateway.problems import Refused

ALICE = {"interruptId": "q1", "by": "alice", "value": True}


def a_session(*responses: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"spec": {"responses": list(responses)}, "status": status}


def answering(session: dict[str, Any], value: object, by: str = "alice") -> list[dict[str, Any]]:
    return build_response_patch(session, NewResponse.model_validate({"interruptId": "q1", "value": value}), by)


def test_the_same_answer_again_is_no_write_and_another_one_a_conflict() -> None:
    assert answering(a_session(ALICE), True) == []
    for value in (False, 1, "true"):
        with pytest.raises(Refused, match=r"you answered .* already") as refused:
            answering(a_session(ALICE), value)
        assert refused.value.status == 409
    with pytest.raises(Refused, match="answered by alice already"):
        answering(a_session(ALICE), True, "bob")


def test_an_answer_that_does_not_stand_is_replaced() -> None:
    refused = a_session(ALICE, conditions=[{"type": "InputAccepted", "status": "False"}])
    assert answering(refused, False)[0]["op"] == "replace"
    several = a_session(ALICE, approvals=[{"interruptId": "q1", "rule": {"count": 2}}])
    assert answering(several, False)[0]["op"] == "replace"
    assert answering(several, True, "bob")[0]["path"] == "/spec/responses/-"
