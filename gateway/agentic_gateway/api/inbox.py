"""The inbox: every open question that the caller may answer, over namespaces, the most urgent first."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query

from agentic_core.inboxes import OpenQuestion, list_open_questions
from agentic_core.lifecycle import Phase
from agentic_gateway.api.listing import build_field_selector
from agentic_gateway.api.models import Inbox, InboxItem, WayToAnswer
from agentic_gateway.api.paths import Limit
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context, WithCaller, WithContext
from agentic_gateway.kube.client import SESSIONS, Json, is_name, object_path
from agentic_gateway.problems import Refused

router = APIRouter(prefix="/api/v1", tags=["inbox"], route_class=StrictRoute)

MAX_NAMESPACES: Final = 100
# Waiting sessions that are looked at; an inbox of more is answered in part, and says so.
MAX_SESSIONS: Final = 5000
_PAGE: Final = 500
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@router.get("/inbox", summary="List open questions")
async def list_inbox(
    context: WithContext,
    caller: WithCaller,
    namespace: Annotated[
        list[str] | None,
        Query(max_length=MAX_NAMESPACES, description="Only of these namespaces; of all that you may list if absent."),
    ] = None,
    limit: Limit = 100,
    after: Annotated[
        str,
        Query(
            max_length=512, pattern=r"^$|^[^/]{1,63}/[^/]{1,63}/[^/]{1,128}$", description="`last` of the page before."
        ),
    ] = "",
) -> Inbox:
    """Return the questions that wait for an answer of the caller's, by deadline and then by when they were asked.

    Those are of sessions that the caller may list, in namespaces where they have the rights to `patch` sessions and to
    `respond`, and by whose approval rule it may be them. One that they have answered is not shown again.
    """
    sessions, is_whole = await _collect(context, caller, sorted(set(namespace or ())))
    allowed = [each for each in sessions if await _may_answer(context, caller, each["metadata"]["namespace"])]
    items = sort_items(build_items(allowed, caller))
    start = next((place + 1 for place, each in enumerate(items) if _identify(each) == after), 0) if after else 0
    page = items[start : start + limit]
    is_last = start + limit >= len(items)
    return Inbox(items=tuple(page), last=None if is_last or not page else _identify(page[-1]), is_whole=is_whole)


async def _collect(context: Context, caller: Caller, namespaces: list[str]) -> tuple[list[Json], bool]:
    """Return the waiting sessions that the caller may list, and whether these are all."""
    if not namespaces:
        try:
            return await _list(context, caller, "", MAX_SESSIONS)
        except Refused as refused:
            if refused.status != 403:
                raise
        namespaces = await context.database.fetch_waiting_namespaces()
    found: list[Json] = []
    for each in namespaces:
        if not is_name(each) or not await context.access.may(caller.token, "list", SESSIONS, each):
            continue
        if len(found) >= MAX_SESSIONS:
            return found, False
        try:
            more, is_whole = await _list(context, caller, each, MAX_SESSIONS - len(found))
        except Refused as refused:
            # The right was taken away a moment ago.
            if refused.status != 403:
                raise
            continue
        found += more
        if not is_whole:
            return found, False
    return found, True


async def _list(context: Context, caller: Caller, namespace: str, most: int) -> tuple[list[Json], bool]:
    selector = build_field_selector(Phase.WAITING_FOR_INPUT, "", "")
    found: list[Json] = []
    following = ""
    while len(found) < most:
        query = [("limit", str(min(_PAGE, most - len(found)))), ("continue", following), ("fieldSelector", selector)]
        page = await context.kube.request("GET", object_path(SESSIONS, namespace), token=caller.token, query=query)
        found += page.get("items") or ()
        following = (page.get("metadata") or {}).get("continue") or ""
        if not following:
            return found, True
    return found, False


async def _may_answer(context: Context, caller: Caller, namespace: str) -> bool:
    return all([await context.access.may(caller.token, verb, SESSIONS, namespace) for verb in ("patch", "respond")])


def build_items(sessions: Iterable[Json], caller: Caller) -> Iterator[InboxItem]:
    """Yield the questions of sessions that the caller's answer is wanted to."""
    for session in sessions:
        metadata, spec = session["metadata"], session["spec"]
        path = f"/api/v1/agentic-sessions/{metadata['namespace']}/{metadata['name']}"
        for each in list_open_questions(session, caller.name, caller.groups):
            yield InboxItem(
                namespace=metadata["namespace"],
                session=metadata["name"],
                session_uid=metadata["uid"],
                display_name=spec.get("displayName") or "",
                workflow=(spec.get("workflowRef") or {}).get("name") or "",
                created_by=spec.get("createdBy") or "",
                interrupt_id=each.id,
                node=each.node,
                prompt=each.prompt,
                value=each.value,
                options=each.options,
                schema_=each.schema,
                digest=each.digest,
                rule=each.rule,
                needed=each.needed,
                asked_at=each.asked_at,
                deadline=each.deadline,
                on_expiry=each.on_expiry,
                answer=_build_way(path, each),
            )


def _build_way(path: str, question: OpenQuestion) -> WayToAnswer:
    body = {"interruptId": question.id, "digest": question.digest}
    return WayToAnswer(href=f"{path}/responses", body=body, stream=f"{path}/stream")


def sort_items(items: Iterable[InboxItem]) -> list[InboxItem]:
    """Return items by deadline, then by when they were asked; those without come last."""
    return sorted(
        items,
        key=lambda each: (each.deadline or _NEVER, each.asked_at or _NEVER, _identify(each)),
    )


def _identify(item: InboxItem) -> str:
    return f"{item.namespace}/{item.session}/{item.interrupt_id}"
