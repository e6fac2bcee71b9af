"""Answers to questions, given in the caller's name; the same way for HTTP and WebSocket."""

from typing import Any

from agentic_core.choices import is_same_json
from agentic_gateway.api.models import NewResponse
from agentic_gateway.api.patching import patch_as_read
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context
from agentic_gateway.kube.client import Json
from agentic_gateway.problems import FieldProblem, Refused


async def give_answer(
    context: Context,
    caller: Caller,
    namespace: str,
    name: str,
    given: NewResponse,
    *,
    session_uid: str | None = None,
) -> Json:
    """Answer a question and return the session as it is then.

    Raises :class:`Refused`: 404 for a question that is not asked, 409 for one that is answered, 400 for an answer that
    its schema refuses, 410 if the session of ``session_uid`` is gone, and what the API server refuses.
    """

    async def build(session: Json) -> list[Json]:
        question = find_open_question(session, given.interrupt_id)
        await _require_answer(context, question, given.value)
        return build_response_patch(session, given, caller.name)

    return await patch_as_read(context, caller, namespace, name, build, session_uid=session_uid)


def find_open_question(session: Json, interrupt_id: str) -> Json:
    """Return the question as the status shows it; raises ``Refused`` if there is none, or it is answered."""
    asked = (session.get("status") or {}).get("interrupts") or []
    question = next((each for each in asked if each.get("id") == interrupt_id), None)
    if question is None:
        ids = ", ".join(repr(each["id"]) for each in asked if not each.get("answeredAt")) or "none"
        raise Refused("not-found", f"the session asks no question {interrupt_id!r}; open questions: {ids}")
    if question.get("answeredAt"):
        raise Refused("conflict", f"the question {interrupt_id!r} is answered already")
    found: Json = question
    return found


async def _require_answer(context: Context, question: Json, value: Any) -> None:
    schema = question.get("schema")
    found = await context.checker.check_instance(True if schema is None else schema, value)
    if found:
        errors = [FieldProblem(pointer=f"/value{p.pointer}", message=p.message, keyword=p.keyword) for p in found]
        raise Refused("invalid-input", "the question does not take this answer", errors)


def build_response_patch(session: Json, given: NewResponse, by: str) -> list[Json]:
    """Return the JSON patch that adds an answer to the session that was read; none if it is there already.

    One's own is replaced if it does not stand: the operator refused answers, or waits for more persons. Raises
    ``Refused`` if an answer stands that says something else, and the question takes one person's.
    """
    responses = session["spec"].get("responses") or []
    of_question = [each for each in responses if each.get("interruptId") == given.interrupt_id]
    approvals = (session.get("status") or {}).get("approvals") or []
    rule: Json = next((each for each in approvals if each.get("interruptId") == given.interrupt_id), {})
    takes_several = ((rule.get("rule") or {}).get("count") or 1) > 1
    others = [each.get("by") for each in of_question if each.get("by") not in (None, "", by)]
    if others and not takes_several:
        raise Refused("conflict", f"the question {given.interrupt_id!r} was answered by {others[0]} already")
    entry: Json = {"interruptId": given.interrupt_id, "by": by, "value": given.value}
    if given.digest is not None:
        entry["digest"] = given.digest
    mine = [index for index, each in enumerate(responses) if each in of_question and each.get("by", "") == by]
    if mine:
        if is_same_json(responses[mine[0]], entry):
            return []
        if not takes_several and not _refuses_answers(session):
            raise Refused("conflict", f"you answered the question {given.interrupt_id!r} already, in another way")
        return [{"op": "replace", "path": f"/spec/responses/{mine[0]}", "value": entry}]
    if responses:
        return [{"op": "add", "path": "/spec/responses/-", "value": entry}]
    return [{"op": "add", "path": "/spec/responses", "value": [entry]}]


def _refuses_answers(session: Json) -> bool:
    """Say whether the operator refused answers of the session as it is."""
    conditions = (session.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "InputAccepted" and each.get("status") == "False" for each in conditions)
