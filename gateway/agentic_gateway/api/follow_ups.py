"""New sessions that start where another one is or was: retries and forks, as the command line makes them."""

from fastapi import APIRouter, Response

from agentic_core.follow_ups import (
    RetryObstacle,
    build_fork_spec,
    build_retry_spec,
    can_be_forked,
    find_retry_obstacle,
)
from agentic_gateway.api.creation import create_session_of, locate
from agentic_gateway.api.models import NewFork, NewMetadata, NewRetry, SessionObject
from agentic_gateway.api.once import OnceRoute, WithRepetition
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.representation import answer_object
from agentic_gateway.context import WithCaller, WithContext
from agentic_gateway.kube.client import SESSIONS, Json, object_path
from agentic_gateway.problems import Refused

router = APIRouter(prefix="/api/v1", tags=["sessions"], route_class=OnceRoute)


@router.post(
    "/agentic-sessions/{namespace}/{name}/retry",
    status_code=201,
    summary="Retry a session",
    response_model=SessionObject,
)
async def retry_session(
    namespace: Namespace,
    name: Name,
    context: WithContext,
    caller: WithCaller,
    repetition: WithRepetition,
    body: NewRetry | None = None,
) -> Response:
    """Create a session that goes on from the last checkpoint of one that failed or was stopped.

    One that runs, is Completed, or whose own inputs or settings were refused gets 409; ``force`` is for the last, once
    the workflow has changed.
    """
    given = body or NewRetry.model_validate({})
    failed = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    match find_retry_obstacle(failed, force=given.force):
        case RetryObstacle.NOT_ENDED:
            phase = (failed.get("status") or {}).get("phase") or "Pending"
            raise Refused("conflict", f"session {name!r} is {phase}: only one that ended can be retried")
        case RetryObstacle.COMPLETED:
            raise Refused("conflict", f"session {name!r} is Completed: fork it to start from it again")
        case RetryObstacle.HOPELESS:
            reason, message = (str(failed["status"].get(key) or "") for key in ("reason", "message"))
            raise Refused(
                "conflict",
                f"session {name!r} failed with {reason}, and a retry would too ({message}): start one with other"
                " values, or send force: true if the workflow has changed since",
            )
    metadata = NewMetadata(name=given.name)
    made = await create_session_of(
        context, caller, namespace, metadata, build_retry_spec(failed), base=name, at="/spec", repetition=repetition
    )
    return answer_object(made, status=201, headers=locate(namespace, made))


@router.post(
    "/agentic-sessions/{namespace}/{name}/fork", status_code=201, summary="Fork a session", response_model=SessionObject
)
async def fork_session(
    namespace: Namespace,
    name: Name,
    context: WithContext,
    caller: WithCaller,
    repetition: WithRepetition,
    body: NewFork | None = None,
) -> Response:
    """Create a session that starts from a checkpoint of this one, with changed state values if wanted.

    The two are independent from there on. With ``inputs`` the new session goes on with these, checked against the
    workflow's schema. Config and context are this session's, overridden key by key.
    """
    given = body or NewFork.model_validate({})
    source = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    if not can_be_forked(source, given.checkpoint):
        raise Refused("conflict", f"session {name!r} has not run: it has no checkpoint to start from")
    spec = build_fork_spec(source, checkpoint=given.checkpoint, values=given.values, as_node=given.as_node)
    made = await create_session_of(
        context,
        caller,
        namespace,
        NewMetadata(name=given.name),
        complete_fork(spec, given),
        base=name,
        at="",
        repetition=repetition,
    )
    return answer_object(made, status=201, headers=locate(namespace, made))


def complete_fork(spec: Json, given: NewFork) -> Json:
    """Return the spec of a fork with what was asked for besides: inputs, config, context, mode."""
    found = dict(spec)
    if "inputs" in given.model_fields_set:
        found["inputs"] = given.inputs
    if given.conversation:
        found["mode"] = "Conversation"
    for key, values in (("config", given.config), ("context", given.context)):
        if values:
            found[key] = {**(found.get(key) or {}), **values}
    return found
