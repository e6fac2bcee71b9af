"""Runners that are not ours: they report, log events and are given answers, each with its pod's own token.

Here alone the gateway acts in its own name. The token says which pod calls, the operator's record (``status.podUids``)
which session it runs, and an admission policy narrows what may come of it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agentic_core.errors import Superseded
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.runner_reports import build_input, build_report, has_news, require_pod_of
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.auth.identity import find_token
from agentic_gateway.config import MAX_WAIT_SECONDS
from agentic_gateway.context import Context, WithContext
from agentic_gateway.kube.client import MERGE_PATCH, SESSIONS, Json, object_path
from agentic_gateway.problems import Refused
from agentic_store.records import NewEvent

ATTEMPTS: Final = 8
MAX_EVENTS: Final = 100
MAX_EVENT_BYTES: Final = 8 * 1024

router = APIRouter(prefix="/api/v1", tags=["runners"], route_class=StrictRoute)

Report = Annotated[Json, Body(description="Fields of the status that are a runner's, as the resource has them.")]
Wait = Annotated[int, Query(ge=0, le=MAX_WAIT_SECONDS, description="For how many seconds news are waited for.")]
Question = Annotated[
    str | None, Query(alias="interruptId", max_length=128, description="The question whose answer is waited for.")
]


class RunnerEvent(BaseModel):
    """Something that happened in a runner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(
        "custom",
        pattern="^(custom|progress|node_started|node_finished|warning)$",
        description="custom, progress, node_started, node_finished or warning.",
    )
    data: dict[str, Any] = Field(description="What it is about; `node`, `message` and `progress` are shown as such.")


class Appended(BaseModel):
    """Where the events are in the log."""

    last: int = Field(description="The number of the last one.")


@router.post("/agentic-sessions/{namespace}/{name}/status", summary="Report, as the session's runner")
async def post_status(namespace: Namespace, name: Name, body: Report, request: Request, context: WithContext) -> Json:
    """Write what the runner reports to the session's status, and return the status.

    A change of the phase that is not a runner's gets 409. Questions are added to those that were asked before.
    """
    return await _report(context, request, namespace, name, body)


@router.patch("/agentic-sessions/{namespace}/{name}/status", summary="Report, as the session's runner")
async def patch_status(namespace: Namespace, name: Name, body: Report, request: Request, context: WithContext) -> Json:
    """Do as POST does."""
    return await _report(context, request, namespace, name, body)


async def _report(context: Context, request: Request, namespace: str, name: str, body: Json) -> Json:
    path = object_path(SESSIONS, namespace, name, "status")
    for _ in range(ATTEMPTS):
        session = await _require(context, request, namespace, name)
        status = build_report(session, body, datetime.now(UTC))
        known = (session.get("status") or {}).get("lastSeq")
        if (floor := context.floors.find(session["metadata"]["uid"], known)) > (known or 0):
            status.setdefault("lastSeq", floor)
        patch = {"metadata": {"resourceVersion": session["metadata"]["resourceVersion"]}, "status": status}
        try:
            written = await context.kube.request(
                "PATCH",
                path,
                token=context.own.read_token(),
                query=[("fieldValidation", "Strict")],
                body=patch,
                content_type=MERGE_PATCH,
            )
        except Refused as refused:
            if refused.status != 409:
                raise
            continue
        return dict(written.get("status") or {})
    raise Refused("conflict", f"session {name!r} changes too fast: try again", retry_after_seconds=1)


@router.post("/agentic-sessions/{namespace}/{name}/events", status_code=202, summary="Log events, as its runner")
async def post_events(
    namespace: Namespace,
    name: Name,
    body: Annotated[RunnerEvent | list[RunnerEvent], Body(description="An event, or several in order.")],
    request: Request,
    context: WithContext,
) -> Appended:
    """Append to the session's log; who follows the session sees it at once."""
    events = body if isinstance(body, list) else [body]
    if not 1 <= len(events) <= MAX_EVENTS:
        raise Refused("bad-request", f"send from 1 to {MAX_EVENTS} events")
    for each in events:
        if len(json.dumps(each.data)) > MAX_EVENT_BYTES:
            raise Refused("too-large", f"the data of an event holds at most {MAX_EVENT_BYTES} bytes of JSON")
    session = await _require(context, request, namespace, name)
    reported = session.get("status") or {}
    run, uid = int(reported.get("run") or 0), str(session["metadata"]["uid"])
    floor = context.floors.find(uid, reported.get("lastSeq"))
    new = [NewEvent(each.type, each.data) for each in events]
    try:
        last = await context.database.view(namespace).append_events(uid, run, new, floor=floor)
    except Superseded as error:
        # The operator makes the row a moment after the session.
        raise Refused("unavailable", "the session has no record yet", retry_after_seconds=1) from error
    context.floors.note(uid, last)
    return Appended(last=last)


@router.get(
    "/agentic-sessions/{namespace}/{name}/input",
    summary="Get inputs and answers, as its runner",
    responses={204: {"description": "Nothing came within `wait` seconds; ask again."}},
)
async def get_input(
    namespace: Namespace,
    name: Name,
    request: Request,
    context: WithContext,
    wait: Wait = 0,
    interrupt_id: Question = None,
) -> Any:
    """Return what the runner is given: inputs, the turn that is on, and the answers that were accepted.

    With ``wait``, once there is an answer (to ``interruptId``, if that is named) or the session shall end; 204 after
    that time without.
    """
    session = await _require(context, request, namespace, name)
    found = build_input(session)
    if not wait or has_news(found, interrupt_id):
        return found
    waiting = asyncio.create_task(_wait_for_news(context, session, interrupt_id))
    leaving = asyncio.create_task(context.lifecycle.leaving.wait())
    try:
        await asyncio.wait({waiting, leaving}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else Response(status_code=204)
    finally:
        for task in (waiting, leaving):
            task.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _wait_for_news(context: Context, session: Json, interrupt_id: str | None) -> Json:
    async for each in _watch(context, session):
        require_uid(session, each)
        found = build_input(each)
        if has_news(found, interrupt_id):
            return found
    raise Refused("unavailable", "the watch of the session ended: ask again", retry_after_seconds=1)


async def _watch(context: Context, session: Json) -> AsyncIterator[Json]:
    """Yield a session whenever it changes after the version that is given."""
    meta = session["metadata"]
    query = [
        ("watch", "1"),
        ("fieldSelector", f"metadata.name={meta['name']}"),
        ("resourceVersion", meta["resourceVersion"]),
        ("timeoutSeconds", str(MAX_WAIT_SECONDS)),
    ]
    async with context.kube.stream(
        "GET",
        object_path(SESSIONS, meta["namespace"]),
        token=context.own.read_token(),
        query=query,
        timeout_seconds=MAX_WAIT_SECONDS + 5,
    ) as response:
        async for line in read_lines(response.content.iter_any()):
            event = json.loads(line)
            if event.get("type") == "ERROR":
                raise Refused("unavailable", "the watch of the session ended: ask again", retry_after_seconds=1)
            if event.get("type") == "DELETED":
                raise Refused("gone", "the session is gone")
            yield event["object"]


async def read_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the lines of a body however long they are: one holds a whole session."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def require_uid(before: Json, after: Json) -> None:
    """Raise ``Refused`` if another session of the same name took the place of the one that was asked about."""
    if before["metadata"]["uid"] != after["metadata"]["uid"]:
        raise Refused("gone", "the session is gone")


async def _require(context: Context, request: Request, namespace: str, name: str) -> Json:
    """Return the session whose runner calls; raises ``Refused`` for everybody else."""
    pod = await context.pods.identify(find_token(request.headers))
    request.state.caller = f"pod {pod.namespace}/{pod.name}"
    if pod.namespace != namespace:
        raise Refused("forbidden", f"pod {pod.name!r} runs no session of namespace {namespace!r}")
    session = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=context.own.read_token())
    require_pod_of(session, pod)
    return session
