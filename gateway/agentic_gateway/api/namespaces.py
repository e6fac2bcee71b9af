"""Which namespaces a caller can look into, and what they may do there: what a page needs before it offers anything."""

import asyncio
from collections.abc import Iterable
from typing import Final

from fastapi import APIRouter

from agentic_gateway.api.models import Namespaces, Rights
from agentic_gateway.api.paths import Namespace
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context, WithCaller, WithContext
from agentic_gateway.kube.client import SESSIONS, is_name
from agentic_gateway.kube.paths import DEFINITIONS
from agentic_gateway.problems import Refused

router = APIRouter(prefix="/api/v1", tags=["identity"], route_class=StrictRoute)

MAX_NAMESPACES: Final = 500
# Reviews that one request makes at once.
_AT_ONCE: Final = 10
_ACCOUNT: Final = "system:serviceaccount:"
_SESSION_VERBS: Final = ("list", "get", "create", "patch", "delete", "respond")
_WORKFLOW_VERBS: Final = ("list", "get", "create", "patch", "delete")


@router.get("/namespaces", summary="List namespaces")
async def list_namespaces(context: WithContext, caller: WithCaller) -> Namespaces:
    """Return the namespaces in which the caller may list sessions, as far as they can be known.

    Of somebody who may not list namespaces these are that of their own account, and those in which a session waits
    for people.
    """
    found, is_whole = await _find(context, caller)
    if await context.access.may(caller.token, "list", SESSIONS, ""):
        return Namespaces(items=tuple(sorted(found)), may_list_all=True, is_whole=is_whole)
    places = asyncio.Semaphore(_AT_ONCE)

    async def may_list(name: str) -> bool:
        async with places:
            return await context.access.may(caller.token, "list", SESSIONS, name)

    names = sorted(found)
    allowed = await asyncio.gather(*(may_list(name) for name in names))
    items = tuple(name for name, is_allowed in zip(names, allowed, strict=True) if is_allowed)
    return Namespaces(items=items, may_list_all=False, is_whole=is_whole)


@router.get("/namespaces/{namespace}/rights", summary="What may I do in a namespace")
async def show_rights(namespace: Namespace, context: WithContext, caller: WithCaller) -> Rights:
    """Return what RBAC lets the caller do with all sessions and workflows of a namespace."""
    may = context.access.may

    async def choose(verbs: Iterable[str], resource: str) -> tuple[str, ...]:
        return tuple([verb for verb in verbs if await may(caller.token, verb, resource, namespace)])

    return Rights(
        sessions=await choose(_SESSION_VERBS, SESSIONS),
        workflows=await choose(_WORKFLOW_VERBS, DEFINITIONS),
        logs=await may(caller.token, "list", "pods", namespace, group="")
        and await may(caller.token, "get", "pods", namespace, subresource="log", group=""),
        audit=await may(caller.token, "get", SESSIONS, namespace, subresource="audit"),
    )


async def _find(context: Context, caller: Caller) -> tuple[set[str], bool]:
    """Return names of namespaces, and whether these are all."""
    try:
        page = await context.kube.request(
            "GET", "/api/v1/namespaces", token=caller.token, query=[("limit", str(MAX_NAMESPACES))]
        )
    except Refused as refused:
        if refused.status != 403:
            raise
    else:
        is_last = not (page.get("metadata") or {}).get("continue")
        return {str(each["metadata"]["name"]) for each in page.get("items") or ()}, is_last
    found = {name for name in await context.database.fetch_waiting_namespaces(limit=MAX_NAMESPACES) if is_name(name)}
    if caller.name.startswith(_ACCOUNT):
        found.add(caller.name.removeprefix(_ACCOUNT).partition(":")[0])
    return found, False
