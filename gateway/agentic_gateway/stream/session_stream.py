"""One client's view of one session: who it is, which session, and from where it goes on."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from agentic_gateway.auth.identity import Caller
from agentic_gateway.auth.tickets import Channel
from agentic_gateway.context import Context, find_session_caller
from agentic_gateway.kube.client import is_name
from agentic_gateway.problems import Refused


@dataclass(frozen=True)
class Subscription:
    """A client that may read the session that it follows."""

    caller: Caller
    namespace: str
    name: str
    session_uid: str
    after: int


async def subscribe(
    context: Context,
    connection: HTTPConnection,
    namespace: str,
    name: str,
    *,
    after: str | None,
    channel: Channel,
) -> Subscription:
    """Check who asks and that they may read the session.

    Raises :class:`Refused`: 400 for what cannot be read, 401, 403 and 404 as for the session itself.
    """
    if "/" in name:
        namespace, _, name = name.partition("/")
    if not namespace or not name:
        raise Refused("bad-request", "name the session: ?namespace=…&sessionName=…, or sessionName=namespace/name")
    if not is_name(namespace) or not is_name(name):
        raise Refused("bad-request", "namespace and sessionName are names of Kubernetes objects")
    caller, session = await find_session_caller(context, connection, namespace, name, channel)
    return Subscription(caller, namespace, name, str(session["metadata"]["uid"]), read_cursor(after))


def read_cursor(after: str | None) -> int:
    """Return the number of the last message that a client has: ``42``, or the end of an event's id, ``0-42``.

    Raises :class:`Refused` for anything else.
    """
    text = (after or "0").rpartition("-")[2]
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Refused("bad-request", "after is the seq of the last message that you have, a whole number")
    return int(text)
