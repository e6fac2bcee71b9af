"""What people are shown of a session, in `kubectl get` too: code in the pod writes nothing there that deceives."""

from typing import Any

import pytest

from tests.support.kube import Space
from tests.trust.test_runner_status import AT, RUNNING, a_condition, a_runner, write

Json = dict[str, Any]
OVERRIDE = "transfer \u202e000,1$\u202c now?"
STATUS: Json = {**RUNNING, "workflow": {**RUNNING["workflow"], "runnerContract": 2}}
PLACES: dict[str, Json] = {
    "message": {"message": OVERRIDE},
    "question": {"question": OVERRIDE},
    "a node": {"currentNode": "a\x1b[2Jb"},
    "progress": {"progress": "\u200b40%"},
    "a reason": {"reason": "Run\u2066ning"},
    "an error's type": {"error": {"type": "E\x9b31m", "message": ""}},
    "an error's message": {"error": {"type": "E", "message": OVERRIDE}},
    "an error's node": {"error": {"type": "E", "message": "", "node": "\ufeffn"}},
    "a condition": {"conditions": [a_condition("Accepted"), a_condition("Running", message=OVERRIDE)]},
    "a checkpoint's node": {"history": [{"id": "1ef", "step": 1, "at": AT, "node": "\u2028"}]},
    "what runs next": {"history": [{"id": "1ef", "step": 1, "at": AT, "next": "\U000e0041"}]},
    "a prompt": {"interrupts": [*RUNNING["interrupts"], {"id": "r", "prompt": OVERRIDE, "askedAt": AT}]},
    "a label": {
        "interrupts": [
            *RUNNING["interrupts"],
            {"id": "r", "options": [{"label": "yes", "value": 1}, {"label": "\u200fno", "value": 2}], "askedAt": AT},
        ]
    },
    "who asks": {"interrupts": [*RUNNING["interrupts"], {"id": "r", "node": "\u061c", "askedAt": AT}]},
}


@pytest.mark.parametrize("status", PLACES.values(), ids=PLACES)
def test_no_text_that_people_are_shown_steers_or_hides(space: Space, status: Json) -> None:
    refused = write(a_runner(space, STATUS), space, status)
    assert refused.code == 403, refused.body
    assert "write them as their numbers" in str(refused.body)


def test_values_are_exact_and_texts_of_all_scripts_are_taken(space: Space) -> None:
    runner = a_runner(space, STATUS)
    value = {OVERRIDE: ["\x1b[2J", "\ufeff"]}
    asked: Json = {"id": "r", "value": value, "prompt": "האם? می\u200cخواهم 👩\u200d💻\n\t\\u202e", "askedAt": AT}
    answer = write(runner, space, {"interrupts": [*RUNNING["interrupts"], asked], "question": asked["prompt"]})
    assert answer.is_done, answer.body
    assert space.status("s")["interrupts"][1]["value"] == value


def test_a_runner_of_an_earlier_contract_and_what_is_there_already_are_let_be(space: Space) -> None:
    old = {**RUNNING, "message": OVERRIDE, "conditions": [a_condition("Accepted", message=OVERRIDE)]}
    runner = a_runner(space, old)
    assert write(runner, space, {"currentNode": OVERRIDE}).is_done
    space.report("s", workflow=STATUS["workflow"])
    assert write(runner, space, {"steps": 4}).is_done
    assert write(runner, space, {"progress": OVERRIDE[:12]}).code == 403


def test_a_status_at_its_bounds_is_within_the_budget(space: Space) -> None:
    runner = a_runner(space, STATUS)
    options = [{"label": "x" * 256, "value": number} for number in range(64)]
    asked = [{"id": f"q{n}", "prompt": "p" * 4096, "options": options, "askedAt": AT} for n in range(13)]
    history = [{"id": f"h{n}", "step": n, "at": AT, "node": "n" * 256, "next": "m" * 256} for n in range(50)]
    answer = write(runner, space, {"interrupts": asked, "history": history, "message": "m" * 4096})
    assert answer.is_done, answer.body
