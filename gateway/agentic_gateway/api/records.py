"""What the database keeps of a session: events and turns. Who may read the session may read these."""

import json
from typing import Annotated

from fastapi import APIRouter, Query

from agentic_gateway.api.models import Events, Turns, TurnSummary
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context, WithCaller, WithContext
from agentic_gateway.feeds.hub import build_frames
from agentic_gateway.kube.client import SESSIONS, Json, object_path

router = APIRouter(prefix="/api/v1", tags=["records"], route_class=StrictRoute)

After = Annotated[int, Query(ge=0, le=2**62, description="Number of the last one that you have.")]
Most = Annotated[int, Query(ge=1, le=1000, description="How many are returned at most.")]


async def _fetch(context: Context, caller: Caller, namespace: str, name: str) -> Json:
    """Return the session, in the caller's name: that they may read it is what lets them read its rows."""
    return await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)


@router.get("/agentic-sessions/{namespace}/{name}/events", summary="Read events")
async def list_events(
    namespace: Namespace, name: Name, context: WithContext, caller: WithCaller, after: After = 0, limit: Most = 200
) -> Events:
    """Return the messages after number ``after``, as a stream would send them."""
    session = await _fetch(context, caller, namespace, name)
    rows = await context.database.view(namespace).events.read(session["metadata"]["uid"], after=after, limit=limit)
    frames = build_frames(rows, after)
    return Events(items=tuple(json.loads(frame.text) for frame in frames), last=rows[-1].seq if rows else after)


@router.get("/agentic-sessions/{namespace}/{name}/turns", summary="List the turns of a conversation")
async def list_turns(
    namespace: Namespace, name: Name, context: WithContext, caller: WithCaller, after: After = 0, limit: Most = 100
) -> Turns:
    """Return the turns after number ``after``, those included that the resource no longer shows, without results."""
    session = await _fetch(context, caller, namespace, name)
    rows = await context.database.view(namespace).turns.list_turns(session["metadata"]["uid"], after=after, limit=limit)
    items = tuple(
        TurnSummary(
            number=row.number,
            name=row.name,
            by=row.author,
            input=row.input,
            command=row.command,
            phase=row.phase.value.capitalize(),
            error=row.error,
            checkpoint_id=row.checkpoint_id,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )
        for row in rows
    )
    return Turns(items=items, last=rows[-1].number if rows else after)
