"""Tickets: one WebSocket or one link, once, within seconds, for those who can set no header.

A ticket is 32 random bytes. The database has its derived name, what it is for, and the caller's credential sealed with
a key derived from the ticket: until it is used nobody can act with it but its holder, and using it removes it.
"""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from agentic_gateway.auth.identity import Caller
from agentic_gateway.auth.sealing import derive, make_secret, read_secret, seal, unseal
from agentic_gateway.kube.client import Credential, OnBehalf
from agentic_gateway.problems import Refused
from agentic_store.gateway_tickets import PostgresTickets, Ticket

TICKET_SECONDS: Final = 30.0

# What a ticket opens: the WebSocket, the Server-Sent Events, or the download of a result.
Channel = Literal["websocket", "events", "result"]
CHANNELS: Final = frozenset(get_args(Channel))

_REFUSED: Final = "the ticket is not valid: it was used, its time is over, or it is for something else; ask for another"


@dataclass(frozen=True)
class Target:
    """What a ticket is for."""

    namespace: str
    name: str
    uid: str
    channel: Channel


@dataclass(frozen=True, repr=False)
class Authority:
    """In whose name a ticket's holder acts, and by what; an ``OnBehalf`` has no token: that is the gateway's own."""

    person: str
    credential: Credential
    uid: str


class Tickets:
    """Makes tickets and takes them."""

    def __init__(self, rows: PostgresTickets) -> None:
        self._rows = rows

    async def make(self, caller: Caller, target: Target) -> str:
        """Return a ticket with which its holder is ``caller``, once, for ``target`` alone."""
        value = make_secret()
        raw = read_secret(value)
        assert raw is not None  # noqa: S101  (it was made a line above)
        name = derive(raw, "ticket name")
        text = json.dumps(_write(caller.token))
        row = Ticket(
            hash=name,
            username=caller.name,
            namespace=target.namespace,
            session_name=target.name,
            session_uid=target.uid,
            channel=target.channel,
            sealed=seal(derive(raw, "ticket key"), text, _describe(name, caller.name, target)),
        )
        await self._rows.add(row, seconds=TICKET_SECONDS)
        return value

    async def take(self, value: str, *, namespace: str, name: str, channel: Channel) -> Authority:
        """Use a ticket up; whatever comes of it, it serves nobody again.

        Raises ``Refused`` (401) if it is unknown, used, too old, or for something else.
        """
        raw = read_secret(value)
        row = None if raw is None else await self._rows.take(derive(raw, "ticket name"))
        if raw is None or row is None:
            raise Refused("not-authenticated", _REFUSED)
        if (row.namespace, row.session_name, row.channel) != (namespace, name, channel):
            raise Refused("not-authenticated", _REFUSED)
        target = Target(namespace, name, row.session_uid, channel)
        text = unseal(derive(raw, "ticket key"), row.sealed, _describe(row.hash, row.username, target))
        if text is None:
            raise Refused("not-authenticated", _REFUSED)
        return Authority(row.username, _read(json.loads(text)), row.session_uid)


def _describe(name: bytes, person: str, target: Target) -> str:
    return json.dumps([name.hex(), person, target.namespace, target.name, target.uid, target.channel])


def _write(credential: Credential) -> dict[str, Any]:
    if isinstance(credential, OnBehalf):
        return {"user": credential.user, "groups": list(credential.groups)}
    return {"token": credential}


def _read(found: dict[str, Any]) -> Credential:
    """Return the credential; one on behalf of somebody has no token yet."""
    if "token" in found:
        return str(found["token"])
    return OnBehalf("", str(found["user"]), tuple(found["groups"]))
