"""Questions as the status shows them, and how they fit into it."""

import json
from datetime import UTC, datetime
from typing import Any

from agentic_core.resources.session import Interrupt
from agentic_runner.execution.thread_entry import PendingInterrupt
from agentic_runner.session.interrupts import MAX_INTERRUPTS, ROOM_FOR_INTERRUPTS, build_interrupts, fit_interrupts

AT = datetime(2026, 3, 1, tzinfo=UTC)


def built(value: Any, **fields: Any) -> Interrupt:
    (interrupt,) = build_interrupts([PendingInterrupt("q", "node", value, **fields)])
    return interrupt


def test_a_question_is_shown_with_words_options_and_schema() -> None:
    interrupt = built({"prompt": "go?", "options": ["yes", {"value": 0, "label": "no"}]})
    assert interrupt.to_wire() == {
        "id": "q",
        "node": "node",
        "prompt": "go?",
        "options": [{"value": "yes", "label": "yes"}, {"value": 0, "label": "no"}],
        "schema": {"enum": ["yes", 0]},
        "value": {"prompt": "go?", "options": ["yes", {"value": 0, "label": "no"}]},
    }


def test_a_question_too_large_for_a_status_keeps_its_words_and_schema() -> None:
    interrupt = built({"prompt": "go?", "schema": {"type": "boolean"}, "rows": "x" * 40_000})
    assert (interrupt.prompt, interrupt.schema_) == ("go?", {"type": "boolean"})
    assert interrupt.value["truncated"] is True


def test_a_schema_too_large_for_a_status_is_left_out() -> None:
    interrupt = built("go?", schema={"enum": ["x" * 120_000]})
    assert (interrupt.prompt, interrupt.schema_) == ("go?", None)


def test_many_large_questions_share_their_room() -> None:
    many = build_interrupts(PendingInterrupt(f"q{number}", "node", "x" * 30_000) for number in range(30))
    assert len(many) == 30
    assert sum(len(json.dumps(each.to_wire())) for each in many) < 600_000


def test_what_cannot_be_stored_is_said() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert built(loop).value["truncated"] is True


def answered(number: int, size: int, *, is_acted: bool = True) -> Interrupt:
    at = AT if is_acted else None
    return Interrupt(id=f"q{number}", prompt="?", value="x" * size, answer=1, answered_at=AT, resumed_at=at)


def test_old_questions_give_way_and_open_ones_never() -> None:
    old = [answered(number, 30_000) for number in range(40)]
    pending, new = answered(40, 30_000, is_acted=False), Interrupt(id="new", value="x" * 30_000)
    fitted = fit_interrupts([*old, pending, new])
    assert len(fitted) == 42
    assert fitted[-2:] == (pending, new)
    assert fitted[0].value is None
    assert fitted[0].answered_at == AT
    assert sum(len(json.dumps(each.to_wire())) for each in fitted) <= ROOM_FOR_INTERRUPTS


def test_no_more_interrupts_than_a_status_may_hold() -> None:
    fitted = fit_interrupts([*(answered(number, 1) for number in range(300)), Interrupt(id="new")])
    assert len(fitted) == MAX_INTERRUPTS
    assert fitted[-1].id == "new"
    assert fitted[0].id == "q45"


def test_integers_that_the_api_server_would_round_are_shown_with_every_digit() -> None:
    long = 12345678901234567890
    interrupt = built({"prompt": "which?", "options": [long, 2**63 - 1], "rows": [-long]})
    assert interrupt.value == {"prompt": "which?", "options": [str(long), 2**63 - 1], "rows": [str(-long)]}
    assert [each.value for each in interrupt.options] == [str(long), 2**63 - 1]
    assert interrupt.schema_ == {"enum": [str(long), 2**63 - 1]}
    assert built(long).value == str(long)
    assert built("which?", schema={"const": long}).schema_ == {"const": str(long)}


def test_a_rule_of_who_answers_stands_beside_a_value_too_large_for_a_status() -> None:
    rule = {"groups": ["finance"], "count": 2}
    large = built({"prompt": "pay?", "approval": rule, "invoice": "x" * 40_000})
    assert (large.approval, "approval" in large.value) == (rule, False)
    assert built({"prompt": "pay?"}).approval is None
    loop: dict[str, Any] = {"approval": rule}
    loop["loop"] = loop
    assert built(loop).approval == {"truncated": True}
    # One that is none by its size is still there: nobody answers.
    assert built({"prompt": "pay?", "approval": {"groups": ["x" * 20_000]}}).approval == {"truncated": True}
