"""The state of a session: its output channels, where its definition shows them, to those who have the right to it."""

import json
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Response

from agentic_gateway.api.models import SessionState
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.state_values import NotShown, decode_values
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.context import WithCaller, WithContext
from agentic_gateway.kube.access import require_right
from agentic_gateway.kube.client import SESSIONS, object_path
from agentic_gateway.problems import Refused

router = APIRouter(prefix="/api/v1", tags=["records"], route_class=StrictRoute)

CheckpointId = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=128,
        pattern="^[0-9A-Za-z-]+$",
        description="A checkpoint, as `checkpoints` lists them (with `api.state: History`); else the newest.",
    ),
]


@router.get("/agentic-sessions/{namespace}/{name}/state", summary="Get a session's state", response_model=SessionState)
async def get_state(
    namespace: Namespace, name: Name, context: WithContext, caller: WithCaller, checkpoint: CheckpointId = None
) -> Response:
    """Return what the output channels hold: at the last question or end of a turn, or about a second ago.

    It takes the right to `get` `agenticsessions/state`, beside that to read the session. 404 if the definition shows
    nothing (`api.state`), the state is encrypted, or nothing ran yet; 409 for values that cannot be shown.
    """
    session = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    await require_right(context.access, caller.token, "get", SESSIONS, namespace, name, subresource="state")
    view, uid = context.database.view(namespace), str(session["metadata"]["uid"])
    kept = await view.values.read(uid)
    if kept is None:
        raise Refused(
            "not-found", "no state of this session is kept: its definition's api.state says None, or nothing ran yet"
        )
    if checkpoint is None or checkpoint == kept.checkpoint_id:
        if kept.state is None:
            raise Refused("conflict", "the state is larger than 1 MiB, and is not kept: read the result")
        about = {"checkpointId": kept.checkpoint_id, "at": kept.at.isoformat(), "run": kept.run, "turn": kept.turn}
        return _answer(about, kept.state)
    if not kept.keeps_history:
        raise Refused("not-found", "only the newest state is kept: the definition's api.state does not say History")
    found = await view.values.read_checkpoint(namespace, uid, checkpoint)
    if not found:
        raise Refused("not-found", f"the session has no checkpoint {checkpoint!r} that holds anything")
    try:
        values = decode_values(found)
    except NotShown as error:
        raise Refused("conflict", str(error)) from error
    return _answer({"checkpointId": checkpoint}, json.dumps(values, ensure_ascii=False, separators=(",", ":")))


def _answer(about: Mapping[str, object], values: str) -> Response:
    """Return an answer with the values as they were written: exact numbers, byte for byte."""
    text = f'{json.dumps(dict(about))[:-1]}, "values": {values}}}'
    return Response(text.encode(errors="replace"), media_type="application/json")
