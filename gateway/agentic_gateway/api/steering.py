"""What ends a session, and what holds it for a while."""

from fastapi import APIRouter

from agentic_gateway.api.once import OnceRoute
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context, WithCaller, WithContext
from agentic_gateway.kube.client import MERGE_PATCH, SESSIONS, Json, object_path

router = APIRouter(prefix="/api/v1", tags=["sessions"], route_class=OnceRoute)


@router.post("/agentic-sessions/{namespace}/{name}/close", status_code=202, summary="Close a conversation")
async def close_session(namespace: Namespace, name: Name, context: WithContext, caller: WithCaller) -> Json:
    """End the conversation as Completed once no turn is left."""
    return await _set(context, caller, namespace, name, {"close": True})


@router.post("/agentic-sessions/{namespace}/{name}/stop", status_code=202, summary="Stop a session")
async def stop_session(namespace: Namespace, name: Name, context: WithContext, caller: WithCaller) -> Json:
    """End the session as Stopped; it cannot be taken back."""
    return await _set(context, caller, namespace, name, {"stop": True})


@router.post("/agentic-sessions/{namespace}/{name}/suspend", status_code=202, summary="Suspend a session")
async def suspend_session(namespace: Namespace, name: Name, context: WithContext, caller: WithCaller) -> Json:
    """Have the session hold no pod until it is resumed."""
    return await _set(context, caller, namespace, name, {"suspend": True})


@router.post("/agentic-sessions/{namespace}/{name}/resume", status_code=202, summary="Resume a session")
async def resume_session(namespace: Namespace, name: Name, context: WithContext, caller: WithCaller) -> Json:
    """Take a suspension back."""
    return await _set(context, caller, namespace, name, {"suspend": False})


async def _set(context: Context, caller: Caller, namespace: str, name: str, spec: Json) -> Json:
    return await context.kube.request(
        "PATCH",
        object_path(SESSIONS, namespace, name),
        token=caller.token,
        body={"spec": spec},
        content_type=MERGE_PATCH,
    )
