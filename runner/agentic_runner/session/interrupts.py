"""Interrupts as the status shows them, within its limits.

Pure. What does not fit into a status stays in the checkpoint alone; its prompt is shown all the same.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from agentic_core import contract
from agentic_core.approvals import find_rule
from agentic_core.errors import OutputTooLarge
from agentic_core.questions import read_question
from agentic_core.resources.session import AnswerOption, Interrupt
from agentic_core.strict_json import spell_wide_integers
from agentic_core.wire import ApiModel
from agentic_runner.execution.thread_entry import PendingInterrupt
from agentic_runner.output.redaction import bounded, describe
from agentic_store.errors import UnstorableOutput
from agentic_store.results.output import encode_output

# All questions of a status together: etcd takes 1.5 MiB an object, inputs and answers included.
ROOM_FOR_QUESTIONS: Final = 256 * 1024
ROOM_FOR_INTERRUPTS: Final = 512 * 1024
MAX_INTERRUPTS: Final = 256
# Eight groups of 256 characters, each of them escaped.
MAX_RULE_BYTES: Final = 16 * 1024


def build_interrupts(questions: Iterable[PendingInterrupt]) -> list[Interrupt]:
    """Return the questions for the status; its writer adds the times."""
    room = ROOM_FOR_QUESTIONS
    built = []
    for question in questions:
        interrupt = _build(question, min(room, contract.MAX_INLINE_RESULT_BYTES))
        room = max(0, room - _measure(interrupt))
        built.append(interrupt)
    return built


def describe_question(interrupt: Interrupt) -> dict[str, Any]:
    """Return what the event log says of a question: what it asks, and the options as the graph gave them."""
    value = interrupt.value
    given = value.get("options") if isinstance(value, dict) else None
    options = given if isinstance(given, list) else [option.value for option in interrupt.options]
    return {
        "interrupt": interrupt.id,
        "prompt": interrupt.prompt,
        "options": options,
        **({"node": interrupt.node} if interrupt.node else {}),
    }


def fit_interrupts(interrupts: Sequence[Interrupt]) -> tuple[Interrupt, ...]:
    """Return as many interrupts as a status holds: of old ones that were acted upon, only that they were there.

    Of more open questions than it lists, the first ones: a graph that goes on with their answers asks the others again.
    """
    kept = list(interrupts)
    surplus = sum(map(_measure, kept)) - ROOM_FOR_INTERRUPTS
    for index, each in enumerate(kept):
        if surplus <= 0:
            break
        if each.resumed_at is not None:
            kept[index] = each.model_copy(
                update={"value": None, "schema_": None, "options": (), "answer": None, "approval": None}
            )
            surplus -= _measure(each) - _measure(kept[index])
    acted = [each for each in kept if each.resumed_at is not None]
    doomed = {id(each) for each in acted[: max(0, len(kept) - MAX_INTERRUPTS)]}
    return tuple(each for each in kept if id(each) not in doomed)[:MAX_INTERRUPTS]


def _build(question: PendingInterrupt, room: int) -> Interrupt:
    value, shown = _to_json(question.value, room)
    read = read_question(value, id_=question.id, schema=question.schema)
    options = tuple(AnswerOption(value=option.value, label=option.label) for option in read.options)
    schema: Any = spell_wide_integers(dict(read.schema)) if read.schema is not None else None
    interrupt = Interrupt(
        id=question.id,
        node=question.node and bounded(question.node, 256),
        prompt=read.prompt,
        options=options,
        schema_=schema,
        value=shown,
        approval=_fit_rule(find_rule(value)),
    )
    if _measure(interrupt) > contract.MAX_SCHEMA_BYTES + contract.MAX_INLINE_RESULT_BYTES:
        return interrupt.model_copy(update={"schema_": None, "options": ()})
    return interrupt


def _fit_rule(rule: Any) -> Any:
    """Return a question's approval rule; one of invalid size becomes an unreadable rule, which nobody satisfies."""
    return rule if len(json.dumps(rule)) <= MAX_RULE_BYTES else {"truncated": True}


def _to_json(value: Any, room: int) -> tuple[Any, Any]:
    """Return a value as JSON, and what of it the status shows."""
    try:
        encoded = encode_output(value)
    except (OutputTooLarge, UnstorableOutput) as error:
        lost: dict[str, Any] = {"truncated": True, "reason": describe(error)}
        if find_rule(value) is not None or getattr(value, "approval", None) is not None:
            # If a value is dropped, its rule must not disappear.
            lost["approval"] = {"truncated": True}
        return lost, lost
    plain = spell_wide_integers(encoded.value())
    if encoded.size <= room:
        return plain, plain
    reason = "the question is too large for the status: it is in the checkpoint"
    return plain, {"truncated": True, "reason": reason}


def _measure(interrupt: ApiModel) -> int:
    return len(json.dumps(interrupt.to_wire()))
