"""Who asks, whichever way they came in: a token, a browser's log-in, a trusted proxy's header, or a ticket.

The one place that looks at headers, cookies and queries for credentials. Routes get a :class:`Caller`.
"""

from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection

from agentic_core.errors import AgenticError
from agentic_core.trace_context import HEADER, read_traceparent
from agentic_gateway.auth.identity import Caller, Identities, Via, find_token, require_single
from agentic_gateway.auth.logins import COOKIE, Logins
from agentic_gateway.auth.proxy import TrustedProxy
from agentic_gateway.auth.tickets import Channel, Tickets
from agentic_gateway.kube.client import Credential, OnBehalf
from agentic_gateway.kube.own_token import OwnToken
from agentic_gateway.problems import Refused
from agentic_gateway.web.origins import Origins, require_own_page, require_stream_page
from agentic_gateway.web.rates import Rates, StreamSlots


@dataclass(frozen=True)
class TicketHolder:
    """Somebody who came with a ticket, and the uid of the session that it is for."""

    caller: Caller
    session_uid: str


@dataclass(frozen=True)
class Callers:
    """Finds callers, and holds each to what one person may ask.

    ``logins`` and ``proxy`` are None if they are off.
    """

    identities: Identities
    tickets: Tickets
    origins: Origins
    rates: Rates
    slots: StreamSlots
    own_token: OwnToken
    logins: Logins | None = None
    proxy: TrustedProxy | None = None

    async def find(self, connection: HTTPConnection, *, is_stream: bool = False) -> Caller:
        """Return who sends a request; ``is_stream`` if a browser can set no headers.

        Raises ``Refused``: 401 for nobody, 403 for another site's page, 429 for too many requests.
        """
        require_single(connection.headers, connection.query_params)
        token = find_token(connection.headers, connection.query_params if is_stream else None)
        if token is not None:
            self._require_page(connection, is_ambient=False)
            return await self._identify(connection, token, "token")
        named = None if self.proxy is None else self.proxy.find_person(connection)
        if named is not None:
            self._require_page(connection, is_ambient=True)
            return await self._identify(connection, OnBehalf(self._read_own_token(), *named), "proxy")
        cookie = connection.cookies.get(COOKIE)
        if self.logins is not None and cookie is not None:
            self._require_page(connection, is_ambient=True)
            return await self._identify(connection, await self.logins.find_token(cookie), "login")
        return await self.identities.identify(None)

    async def take_ticket(
        self, connection: HTTPConnection, ticket: str, *, namespace: str, name: str, channel: Channel
    ) -> TicketHolder:
        """Return whose ticket a request carries, which is used up by that; raises ``Refused`` as :meth:`find` does."""
        require_single(connection.headers, connection.query_params)
        self._require_page(connection, is_ambient=False)
        found = await self.tickets.take(ticket, namespace=namespace, name=name, channel=channel)
        credential = found.credential
        if isinstance(credential, OnBehalf):
            if self.proxy is None or credential.user not in self.proxy.users:
                raise Refused("forbidden", "this gateway does not stand for the ticket's user any more")
            credential = replace(credential, token=self._read_own_token())
        caller = await self._identify(connection, credential, "ticket")
        if caller.name != found.person:
            raise Refused("not-authenticated", "the ticket is of somebody else")
        return TicketHolder(caller, found.uid)

    async def _identify(self, connection: HTTPConnection, credential: Credential, via: Via) -> Caller:
        trace = read_traceparent(connection.headers.get(HEADER))
        caller = replace(await self.identities.identify(credential), via=via, traceparent=trace)
        # For the access log.
        connection.state.caller = caller.name
        self.rates.take(caller.name)
        return caller

    def _require_page(self, connection: HTTPConnection, *, is_ambient: bool) -> None:
        if connection.scope["type"] == "websocket":
            require_stream_page(connection.headers, self.origins, is_ambient=is_ambient)
        elif is_ambient:
            require_own_page(connection.scope["method"], connection.headers, self.origins)

    def _read_own_token(self) -> str:
        try:
            return self.own_token.read()
        except OSError as error:
            raise _NoOwnToken("the gateway has no account of its own: KUBERNETES_TOKEN_FILE") from error


class _NoOwnToken(AgenticError):
    """Impersonation is on, and there is no token to do it with."""
