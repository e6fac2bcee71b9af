"""The result of a session or a turn: the bytes that the database has, or a link to the object store."""

import asyncio
import base64
import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from agentic_core.downloads import build_request, is_outside, read_link
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.representation import IfNoneMatch, matches
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context, WithContext, find_session_caller
from agentic_gateway.kube.client import MERGE_PATCH, SESSIONS, Json, object_path
from agentic_gateway.problems import MEDIA_TYPE, Refused
from agentic_gateway.web.ranges import read_range
from agentic_store.results.stored import ResultText, StoredResults

router = APIRouter(prefix="/api/v1", tags=["records"], route_class=StrictRoute)

Turn = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Number of a turn; the last one if absent.")]
# Read where callers are found; named here for the description.
Ticket = Annotated[str | None, Query(max_length=256, description="A ticket for this result, in place of a token.")]
LINK_WAIT_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.5


@router.get(
    "/agentic-sessions/{namespace}/{name}/result",
    summary="Get the result",
    response_model=Any,
    responses={
        206: {"description": "The bytes of a Range.", "content": {"application/json": {}}},
        304: {"description": "The result has the ETag that is known."},
        307: {"description": "The result is in an object store: this is a link to it, good for some time."},
        416: {
            "description": "The result is shorter than where the Range begins.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        },
    },
)
async def get_result(
    namespace: Namespace,
    name: Name,
    context: WithContext,
    request: Request,
    turn: Turn = None,
    ticket: Ticket = None,  # noqa: ARG001
    if_none_match: IfNoneMatch = None,
    range_: Annotated[
        str | None, Header(alias="Range", max_length=256, description="Which bytes, for instance bytes=0-1023.")
    ] = None,
    if_range: Annotated[
        str | None, Header(alias="If-Range", max_length=256, description="The ETag for which the Range holds.")
    ] = None,
) -> Response:
    """Return the result as JSON, with each digit and key as the database has it: of the session, or of one turn.

    One in an object store is answered by a redirect to a link, which is asked for in the caller's name if there is
    none: that takes the right to patch the session. A session that has no result (yet) gets 409 with its phase.
    """
    caller, session = await find_session_caller(context, request, namespace, name, "result")
    status, uid = session.get("status") or {}, str(session["metadata"]["uid"])
    if turn is None and is_outside(status.get("resultRef") or {}):
        return RedirectResponse(await _obtain_link(context, caller, namespace, name, session), 307)
    number = _choose_turn(session, turn)
    stored = context.database.view(namespace).results
    text = await stored.measure(uid, number)
    if text is not None:
        return _answer_stored(stored, uid, number, text, if_none_match, range_, if_range)
    if turn is None and "result" in status:
        # Its row is gone, or not there yet.
        return Response(json.dumps(status["result"], ensure_ascii=False), media_type="application/json")
    raise Refused("conflict", f"there is no result: the session is {status.get('phase') or 'Pending'}")


def _choose_turn(session: Json, turn: int | None) -> int | None:
    """Return the turn whose result is meant: of a conversation, the last one that ended unless another is named."""
    if turn is not None or session["spec"].get("mode") != "Conversation":
        return turn
    status = session.get("status") or {}
    return int((status.get("turnEnd") or {}).get("number") or status.get("turnCount") or 0)


def _answer_stored(
    stored: StoredResults,
    uid: str,
    turn: int | None,
    text: ResultText,
    known: str | None,
    range_: str | None,
    if_range: str | None,
) -> Response:
    tag = f'"{text.sha256}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes"}
    if known is not None and matches(known, text.sha256):
        return Response(None, 304, headers)
    wanted = read_range(range_, text.size) if if_range is None or if_range.strip() == tag else None
    start, stop = wanted or (0, text.size)
    headers["Content-Length"] = str(stop - start)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{text.size}"
    else:
        headers["Repr-Digest"] = f"sha-256=:{encode_digest(text.sha256)}:"
    return StreamingResponse(
        stored.read(uid, turn, start=start, stop=stop), 206 if wanted else 200, headers, media_type="application/json"
    )


def encode_digest(sha256: str) -> str:
    """Return a digest in hexadecimal as RFC 9530 writes it, in base64."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


async def _obtain_link(context: Context, caller: Caller, namespace: str, name: str, session: Json) -> str:
    """Return a link to a result in an object store; have one made if there is none that holds for a while."""
    path = object_path(SESSIONS, namespace, name)
    if link := _find_link(session):
        return link
    asked = build_request(datetime.now(UTC))
    await context.kube.request("PATCH", path, token=caller.token, body=asked, content_type=MERGE_PATCH)
    until = time.monotonic() + LINK_WAIT_SECONDS
    while time.monotonic() < until:
        if link := _find_link(await context.kube.request("GET", path, token=caller.token)):
            return link
        await asyncio.sleep(_LOOK_SECONDS)
    raise Refused("unavailable", "the operator has made no link to the result yet: try again", retry_after_seconds=5)


def _find_link(session: Json) -> str | None:
    return read_link((session.get("status") or {}).get("resultRef") or {}, datetime.now(UTC))
