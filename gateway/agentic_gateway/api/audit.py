"""The trail of a session: who answered what, as ``agentic audit export`` writes it."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from agentic_core import trail as chain
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.context import WithCaller, WithContext
from agentic_gateway.kube.access import require_right
from agentic_gateway.kube.client import SESSIONS, object_path
from agentic_store.records import TrailRow
from agentic_store.trail_lines import spell_row

MEDIA_TYPE: Final = "application/jsonl"

router = APIRouter(prefix="/api/v1", tags=["records"], route_class=StrictRoute)


@router.get(
    "/agentic-sessions/{namespace}/{name}/audit",
    summary="Export the trail",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "JSON lines: each entry with the hash of the one before, and a last line that counts them.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        }
    },
)
async def export_trail(namespace: Namespace, name: Name, context: WithContext, caller: WithCaller) -> StreamingResponse:
    """Return the session's whole trail, which `agentic audit verify` checks anywhere.

    It takes the right to `get` `agenticsessions/audit`, beside that to read the session.
    """
    session = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    await require_right(context.access, caller.token, "get", SESSIONS, namespace, name, subresource="audit")
    rows = context.database.view(namespace).trails.export(projects=[namespace], sessions=[name])
    # The first rows are read before the answer begins, so that a database that is away is a 503.
    found = [row async for row in rows if row.session_uid == session["metadata"]["uid"]]
    return StreamingResponse(_write(found), media_type=MEDIA_TYPE)


async def _write(rows: Sequence[TrailRow]) -> AsyncIterator[bytes]:
    for row in rows:
        yield (spell_row(row) + "\n").encode()
    yield (chain.spell_end(entries=len(rows), sessions=1 if rows else 0, namespaces=None) + "\n").encode()
