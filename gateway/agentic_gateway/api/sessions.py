"""Sessions: created, read, changed and deleted in the caller's name; the custom resource is the truth."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from agentic_gateway.api.answers import give_answer
from agentic_gateway.api.creation import create_session_of, locate
from agentic_gateway.api.models import NewResponse, NewSession, NewTurn, SessionObject
from agentic_gateway.api.objects import change_object, delete_object, read_object
from agentic_gateway.api.once import OnceRoute, WithRepetition
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.representation import IfMatch, IfNoneMatch, answer_object
from agentic_gateway.api.turns import append_turn, cancel_turn
from agentic_gateway.context import WithCaller, WithContext
from agentic_gateway.kube.client import SESSIONS, Json, object_path

router = APIRouter(prefix="/api/v1", tags=["sessions"], route_class=OnceRoute)


@router.post("/agentic-sessions/{namespace}", status_code=201, summary="Start a session", response_model=SessionObject)
async def create_session(
    namespace: Namespace, body: NewSession, context: WithContext, caller: WithCaller, repetition: WithRepetition
) -> Response:
    """Check inputs, config and context against the workflow's schemas, then create the session in the caller's name.

    What the workflow refuses gets 400 with a pointer, keyword and message for each fault, and nothing is created.
    """
    reference = body.spec.get("workflowRef")
    base = reference.get("name") if isinstance(reference, dict) else None
    made = await create_session_of(
        context,
        caller,
        namespace,
        body.metadata,
        body.spec,
        base=str(base or "session"),
        at="/spec",
        repetition=repetition,
    )
    return answer_object(made, status=201, headers=locate(namespace, made))


@router.get("/agentic-sessions/{namespace}/{name}", summary="Get a session", response_model=SessionObject)
async def get_session(
    namespace: Namespace, name: Name, context: WithContext, caller: WithCaller, if_none_match: IfNoneMatch = None
) -> Response:
    """Return the session; the header ``ETag`` holds its version."""
    return await read_object(context, caller, object_path(SESSIONS, namespace, name), if_none_match)


@router.patch("/agentic-sessions/{namespace}/{name}", summary="Change a session", response_model=SessionObject)
async def patch_session(
    namespace: Namespace,
    name: Name,
    context: WithContext,
    caller: WithCaller,
    body: Annotated[Json, Body(description="A JSON merge patch; `status` in it is ignored.")],
    if_match: IfMatch = None,
) -> Response:
    """Apply a JSON merge patch in the caller's name.

    A session that changed since it was read gets 412 if ``If-Match`` says so, and 409 if
    ``metadata.resourceVersion`` in the patch does.
    """
    return await change_object(context, caller, object_path(SESSIONS, namespace, name), body, if_match)


@router.delete(
    "/agentic-sessions/{namespace}/{name}", status_code=202, summary="Delete a session", response_model=dict[str, Any]
)
async def delete_session(
    namespace: Namespace, name: Name, context: WithContext, caller: WithCaller, if_match: IfMatch = None
) -> Response:
    """Have the session deleted with all that belongs to it; its pod saves and ends first."""
    return await delete_object(context, caller, object_path(SESSIONS, namespace, name), if_match)


@router.get("/agentic-sessions/{namespace}/{name}/status", summary="Get a session's status")
async def get_status(namespace: Namespace, name: Name, context: WithContext, caller: WithCaller) -> Json:
    """Return phase, questions, result and error alone."""
    found = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    status: Json = found.get("status") or {}
    return status


@router.post("/agentic-sessions/{namespace}/{name}/responses", status_code=202, summary="Answer a question")
async def respond(
    namespace: Namespace, name: Name, body: NewResponse, context: WithContext, caller: WithCaller
) -> Json:
    """Give an answer in the caller's name; of two people who answer one question, the later gets 409.

    A question that is not open gets 409, an unknown one 404, an answer that its schema refuses 400.
    """
    return await give_answer(context, caller, namespace, name, body)


@router.post("/agentic-sessions/{namespace}/{name}/turns", status_code=202, summary="Append a turn")
async def create_turn(
    namespace: Namespace,
    name: Name,
    body: NewTurn,
    context: WithContext,
    caller: WithCaller,
    repetition: WithRepetition,
) -> Json:
    """Append a turn to a conversation in the caller's name, and return it with its name."""
    return await append_turn(context, caller, namespace, name, body, repetition=repetition)


@router.post("/agentic-sessions/{namespace}/{name}/turns/{turn}/cancel", status_code=202, summary="Cancel a turn")
async def create_cancel(namespace: Namespace, name: Name, turn: Name, context: WithContext, caller: WithCaller) -> Json:
    """Cancel a turn that runs or waits; the conversation goes on with the next one."""
    return await cancel_turn(context, caller, namespace, name, turn)
