"""Turns of conversations, appended in the caller's name."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentic_core.contract import MAX_TURN_INPUT_BYTES
from agentic_core.lifecycle import FINAL_PHASES
from agentic_core.strict_json import JsonRefused, encode_json, parse_strict_json
from agentic_gateway.api.inputs import find_turn_problems
from agentic_gateway.api.models import NewTurn
from agentic_gateway.api.patching import patch_as_read
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context
from agentic_gateway.kube.client import Json
from agentic_gateway.kube.paths import find_definition_path
from agentic_gateway.problems import FieldProblem, Refused


async def append_turn(
    context: Context,
    caller: Caller,
    namespace: str,
    name: str,
    given: NewTurn,
    *,
    session_uid: str | None = None,
    repetition: str = "",
) -> Json:
    """Append a turn and return it as it was written; of two clients at once each gets a turn of its own.

    ``repetition`` stands for the request's idempotency key: a turn without a name gets one that follows from it, and
    if that is there already it is the answer.

    Raises :class:`Refused`: 409 if the session is no conversation, has ended or is closing, or the name is taken;
    400 for an input that is too large, and for an input, config or context that the workflow does not take; 410 if the
    session of ``session_uid`` is gone; and what the API server refuses.
    """
    try:
        parse_strict_json(encode_json(given.input), max_bytes=MAX_TURN_INPUT_BYTES, as_stored=True)
    except JsonRefused as refused:
        error = FieldProblem(pointer=f"/input{refused.pointer}", message=refused.message)
        raise Refused("invalid-input", "the turn's input cannot be stored", [error]) from refused
    entry: Json = {}
    follows = bool(repetition) and given.name is None
    if follows:
        given = given.model_copy(update={"name": f"k{repetition[:15]}"})

    async def build(session: Json) -> list[Json]:
        nonlocal entry
        turns = session["spec"].get("turns") or ()
        known = next((each for each in turns if each.get("name") == given.name), None)
        if follows and known is not None:
            entry = known
            return []
        entry = build_turn(session, given, caller.name)
        await require_fitting(context, caller, session, entry)
        return build_patch(session, entry)

    await patch_as_read(context, caller, namespace, name, build, session_uid=session_uid)
    return entry


def build_turn(session: Json, given: NewTurn, by: str) -> Json:
    """Return the entry of ``spec.turns``, under its own name or the next free one; raises ``Refused`` for neither."""
    spec, status = session["spec"], session.get("status") or {}
    if spec.get("mode") != "Conversation":
        raise Refused("conflict", "the session takes no turns: start one with mode 'Conversation'")
    if status.get("phase") in FINAL_PHASES:
        raise Refused("conflict", f"the conversation has ended: it is {status['phase']}")
    if spec.get("close") or spec.get("stop"):
        raise Refused("conflict", "the conversation is being closed: it takes no further turn")
    taken = list_names(spec, status)
    if given.name is not None and given.name in taken:
        raise Refused("conflict", f"a turn {given.name!r} is there already: choose another name, or leave it out")
    name = given.name or choose_name(taken, int(status.get("turnCount") or 0))
    body = given.model_dump(by_alias=True, exclude_unset=True, exclude={"name"})
    return {"name": name, **body, "by": by}


async def require_fitting(context: Context, caller: Caller, session: Json, entry: Json) -> None:
    """Raise ``Refused`` if the workflow, as it is now, does not take the turn.

    The operator has the last word, when the turn is next. A definition that the caller may not read, or that is not
    there, says nothing here.
    """
    path = find_definition_path(session["spec"].get("workflowRef") or {}, session["metadata"]["namespace"])
    if path is None:
        return
    try:
        definition = await context.kube.request("GET", path, token=caller.token)
    except Refused as refused:
        if refused.status not in (403, 404):
            raise
        return
    if problems := await find_turn_problems(context.checker, definition, session, entry):
        name = definition["metadata"]["name"]
        raise Refused("invalid-input", f"workflow {name!r} does not take this turn", problems)


def list_names(spec: Mapping[str, Any], status: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of turns that the session shows."""
    lists: Sequence[Any] = (spec.get("turns") or (), status.get("turns") or ())
    return frozenset(str(each.get("name")) for found in lists for each in found)


def choose_name(taken: frozenset[str], count: int) -> str:
    """Return a name after all that are taken: ``t0001``, ``t0002`` and so on."""
    numbers = [int(name[1:]) for name in taken if re.fullmatch(r"t[0-9]{4,9}", name)]
    return f"t{max([count, *numbers]) + 1:04d}"


def build_patch(session: Json, entry: Json) -> list[Json]:
    """Return the JSON patch that appends a turn to the session that was read."""
    if session["spec"].get("turns"):
        return [{"op": "add", "path": "/spec/turns/-", "value": entry}]
    return [{"op": "add", "path": "/spec/turns", "value": [entry]}]


async def cancel_turn(context: Context, caller: Caller, namespace: str, name: str, turn: str) -> Json:
    """Cancel a turn that runs or waits, and return the session.

    Raises :class:`Refused`: 404 if there is no such turn, 409 if it has ended.
    """

    async def build(session: Json) -> list[Json]:
        turns = session["spec"].get("turns") or []
        index = next((place for place, each in enumerate(turns) if each.get("name") == turn), None)
        if index is None:
            raise Refused("not-found", f"session {name!r} has no turn {turn!r}")
        ended = [each for each in (session.get("status") or {}).get("turns") or () if each.get("name") == turn]
        if ended and ended[0].get("phase") != "Running":
            raise Refused("conflict", f"turn {turn!r} has ended: it is {ended[0].get('phase')}")
        if turns[index].get("cancel"):
            return []
        return [
            {"op": "add", "path": f"/spec/turns/{index}/cancel", "value": True},
            {"op": "add", "path": f"/spec/turns/{index}/cancelledBy", "value": caller.name},
        ]

    return await patch_as_read(context, caller, namespace, name, build)
