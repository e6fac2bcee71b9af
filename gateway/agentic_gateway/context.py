"""What every route has at hand, and the caller of the request that is on."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from agentic_core.schema.sandbox import SchemaChecker
from agentic_gateway.auth.callers import Callers
from agentic_gateway.auth.identity import Caller
from agentic_gateway.auth.pods import PodIdentities
from agentic_gateway.auth.rights import Rights
from agentic_gateway.auth.tickets import Channel
from agentic_gateway.feeds.floors import Floors
from agentic_gateway.feeds.hub import Hub
from agentic_gateway.kube.access import Access
from agentic_gateway.kube.client import SESSIONS, Json, Kube, object_path
from agentic_gateway.kube.own_account import OwnAccount
from agentic_gateway.operations.lifecycle import Lifecycle
from agentic_gateway.operations.metrics import Metrics
from agentic_gateway.operations.readiness import Readiness
from agentic_gateway.problems import Refused
from agentic_store.database import Database


@dataclass(frozen=True)
class Context:
    """The parts that routes are made of; one a process."""

    kube: Kube
    callers: Callers
    access: Access
    checker: SchemaChecker
    database: Database
    hub: Hub
    rights: Rights
    metrics: Metrics
    lifecycle: Lifecycle
    readiness: Readiness
    own: OwnAccount
    pods: PodIdentities
    floors: Floors


def find_context(request: Request) -> Context:
    """Return the process's parts."""
    context: Context = request.app.state.context
    return context


async def find_caller(request: Request) -> Caller:
    """Return who asks; raises ``Refused`` if the cluster does not know them."""
    known: Caller | None = getattr(request.state, "found_caller", None)
    if known is None:
        # Once a request: it is counted against the caller's rate.
        known = request.state.found_caller = await find_context(request).callers.find(request)
    return known


async def find_session_caller(
    context: Context, connection: HTTPConnection, namespace: str, name: str, channel: Channel
) -> tuple[Caller, Json]:
    """Return who asks for a session's stream or link, by a ticket too, and the session, which they may read.

    Raises ``Refused``: 401, 403 and 404 as for the session itself.
    """
    ticket = connection.query_params.get("ticket")
    uid = None
    if ticket is None:
        caller = await context.callers.find(connection, is_stream=channel != "result")
    else:
        holder = await context.callers.take_ticket(connection, ticket, namespace=namespace, name=name, channel=channel)
        caller, uid = holder.caller, holder.session_uid
    session = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    if uid is not None and session["metadata"]["uid"] != uid:
        raise Refused("not-authenticated", "the ticket is for an earlier session of this name")
    return caller, session


WithContext = Annotated[Context, Depends(find_context)]
WithCaller = Annotated[Caller, Depends(find_caller)]
