"""Lists of sessions: by phase, workflow, label and creator as the API server selects, or by what their inputs hold.

The API server has indexes for none of these and needs none: it selects from memory, in the caller's name, with pages
of its own. Inputs it cannot select by; the database can, and each session that it finds is then read from the API
server in the caller's name, so that nobody sees one that they may not.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from agentic_core.lifecycle import Phase
from agentic_core.names import API_VERSION
from agentic_core.strict_json import JsonRefused, parse_strict_json
from agentic_gateway.api.models import SessionList
from agentic_gateway.api.paths import Continue, Limit, Namespace, Selector
from agentic_gateway.api.representation import answer_object
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context, WithCaller, WithContext
from agentic_gateway.kube.access import require_right
from agentic_gateway.kube.client import SESSIONS, Json, object_path
from agentic_gateway.problems import Refused
from agentic_store.records import PageKey, SessionRow
from agentic_store.searches import InvalidSearch

router = APIRouter(prefix="/api/v1", tags=["sessions"], route_class=StrictRoute)

MAX_SEARCH_BYTES: Final = 16 * 1024
MAX_FOUND: Final = 100
# Sessions that one search reads at once.
_AT_ONCE: Final = 10

OfPhase = Annotated[Phase | None, Query(description="Only sessions in this phase.")]
OfWorkflow = Annotated[str, Query(max_length=63, description="Only sessions of the definition of this name.")]
OfCreator = Annotated[str, Query(alias="createdBy", max_length=256, description="Only sessions that they started.")]


@router.get("/agentic-sessions", summary="List the sessions of all namespaces", response_model=SessionList)
async def list_all_sessions(
    context: WithContext,
    caller: WithCaller,
    limit: Limit = 100,
    continue_: Continue = "",
    label_selector: Selector = "",
    phase: OfPhase = None,
    workflow: OfWorkflow = "",
    created_by: OfCreator = "",
) -> Response:
    """Return a page of sessions, for who may list those of all namespaces."""
    selector = build_field_selector(phase, workflow, created_by)
    return await _list(context, caller, "", limit, continue_, label_selector, selector)


@router.get("/agentic-sessions/{namespace}", summary="List the sessions of a namespace", response_model=SessionList)
async def list_sessions(
    namespace: Namespace,
    context: WithContext,
    caller: WithCaller,
    limit: Limit = 100,
    continue_: Continue = "",
    label_selector: Selector = "",
    phase: OfPhase = None,
    workflow: OfWorkflow = "",
    created_by: OfCreator = "",
    input_: Annotated[
        str,
        Query(
            alias="input",
            max_length=MAX_SEARCH_BYTES,
            description="Only sessions whose inputs contain this JSON object: each of its keys with that value. Newest"
            f" first, at most {MAX_FOUND} a page; labelSelector has no place beside it.",
        ),
    ] = "",
) -> Response:
    """Return a page of sessions, by name, as the API server has them; ``metadata.continue`` leads to the next page.

    With ``input``, pages may be short of ``limit``: there is another page as long as there is a ``continue``.
    """
    if not input_:
        selector = build_field_selector(phase, workflow, created_by)
        return await _list(context, caller, namespace, limit, continue_, label_selector, selector)
    if label_selector:
        raise Refused("bad-request", "labelSelector cannot be combined with input: choose one of them")
    found = await _search(context, caller, namespace, read_search(input_), min(limit, MAX_FOUND), continue_)
    found["items"] = [each for each in found["items"] if is_wanted(each, phase, workflow, created_by)]
    return Response(json.dumps(found, ensure_ascii=False), media_type="application/json")


async def _list(
    context: Context, caller: Caller, namespace: str, limit: int, continue_: str, labels: str, fields: str
) -> Response:
    query = [("limit", str(limit)), ("continue", continue_), ("labelSelector", labels), ("fieldSelector", fields)]
    path = object_path(SESSIONS, namespace)
    return answer_object(await context.kube.exchange("GET", path, token=caller.token, query=query))


def build_field_selector(phase: Phase | None, workflow: str, created_by: str) -> str:
    """Return Kubernetes' selector for these; what is empty is not selected by."""
    parts = []
    if phase is Phase.PENDING:
        # A session that no operator has taken up has no phase yet.
        parts += [f"status.phase!={each.value}" for each in Phase if each is not Phase.PENDING]
    elif phase is not None:
        parts.append(f"status.phase={phase.value}")
    if workflow:
        parts.append(f"spec.workflowRef.name={_escape(workflow)}")
    if created_by:
        parts.append(f"spec.createdBy={_escape(created_by)}")
    return ",".join(parts)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def is_wanted(session: Json, phase: Phase | None, workflow: str, created_by: str) -> bool:
    """Return whether a session is what :func:`build_field_selector` selects."""
    spec, status = session.get("spec") or {}, session.get("status") or {}
    return (
        (phase is None or (status.get("phase") or Phase.PENDING) == phase)
        and (not workflow or (spec.get("workflowRef") or {}).get("name") == workflow)
        and (not created_by or spec.get("createdBy") == created_by)
    )


def read_search(text: str) -> Mapping[str, Any]:
    """Return what inputs have to contain; raise ``Refused`` for what is no JSON object."""
    try:
        found = parse_strict_json(text, max_bytes=MAX_SEARCH_BYTES * 4)
    except JsonRefused as refused:
        raise Refused("bad-request", f"query input: {refused.message}") from refused
    if not isinstance(found, dict):
        raise Refused("bad-request", 'query input: write a JSON object, such as {"file_path": "/data/x.csv"}')
    return found


async def _search(
    context: Context, caller: Caller, namespace: str, wanted: Mapping[str, Any], limit: int, continue_: str
) -> Json:
    await require_right(context.access, caller.token, "list", SESSIONS, namespace)
    try:
        rows = await context.database.view(namespace).sessions.search(
            namespace, wanted, limit=limit, before=read_cursor(continue_)
        )
    except InvalidSearch as error:
        raise Refused("bad-request", f"query input: {error}") from error
    places = asyncio.Semaphore(_AT_ONCE)

    async def fetch(row: SessionRow) -> Json | None:
        async with places:
            try:
                path = object_path(SESSIONS, namespace, row.session_name)
                found = await context.kube.request("GET", path, token=caller.token)
            except Refused as refused:
                if refused.status != 404:
                    raise
                return None
        return found if found["metadata"]["uid"] == row.session_uid else None

    found = await asyncio.gather(*(fetch(row) for row in rows))
    metadata = {"continue": write_cursor(rows[-1].key)} if len(rows) == limit else {}
    items = [each for each in found if each is not None]
    return {"apiVersion": API_VERSION, "kind": "AgenticSessionList", "metadata": metadata, "items": items}


def write_cursor(key: PageKey) -> str:
    """Return where a page of a search ended, as text for the next request."""
    text = json.dumps([key.created_at.isoformat(), key.session_name])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str) -> PageKey | None:
    """Return what :func:`write_cursor` wrote, None for the first page; raise ``Refused`` for anything else."""
    if not text:
        return None
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        at, name = datetime.fromisoformat(found[0]), found[1]
    except (binascii.Error, ValueError, TypeError, LookupError, RecursionError) as error:
        raise _refuse_cursor() from error
    if at.tzinfo is None or not isinstance(name, str):
        raise _refuse_cursor()
    return PageKey(at, name)


def _refuse_cursor() -> Refused:
    return Refused("bad-request", "query continue: it is none that this list gave")
