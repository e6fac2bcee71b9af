"""Tickets: what somebody with a token asks for, so that a page, a player or a link needs none."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agentic_gateway.api.models import Body
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.auth.identity import Via
from agentic_gateway.auth.tickets import TICKET_SECONDS, Channel, Target
from agentic_gateway.context import WithCaller, WithContext
from agentic_gateway.kube.client import SESSIONS, object_path

router = APIRouter(prefix="/api/v1", tags=["identity"], route_class=StrictRoute)


class NewTicket(Body):
    """What a ticket is for."""

    channel: Channel = Field(
        description="What it opens: the WebSocket, the Server-Sent Events, or the download of the result."
    )


class TicketIssued(BaseModel):
    """A ticket."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    ticket: str = Field(description="To be sent once, as the query's `ticket`.")
    expires_in_seconds: int = Field(description="How long it is valid if nobody uses it.")


class Myself(BaseModel):
    """The caller."""

    username: str = Field(description="The name by which the cluster knows the caller.")
    groups: tuple[str, ...] = Field(description="Their groups.")
    via: Via = Field(description="How they came in: token, login, proxy or ticket.")


@router.post("/agentic-sessions/{namespace}/{name}/tickets", status_code=201, summary="Make a ticket")
async def make_ticket(
    namespace: Namespace, name: Name, body: NewTicket, context: WithContext, caller: WithCaller
) -> TicketIssued:
    """Return a ticket for one WebSocket, stream or download of this session, in the caller's name, once."""
    session = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    target = Target(namespace, name, str(session["metadata"]["uid"]), body.channel)
    ticket = await context.callers.tickets.make(caller, target)
    return TicketIssued(ticket=ticket, expires_in_seconds=int(TICKET_SECONDS))


@router.get("/myself", summary="Who am I")
async def show_myself(caller: WithCaller) -> Myself:
    """Return who the caller is, as the cluster knows them."""
    return Myself(username=caller.name, groups=caller.groups, via=caller.via)
