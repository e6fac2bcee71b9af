"""The identity that a proxy in front vouches for: its headers, believed only from that proxy.

Off unless settings name the headers, and by what the proxy is known. The gateway then stands for the person by
impersonation, which its account may do for the users and groups alone that its role enumerates; the same lists are
settings here, so that whoever is not on them is refused before the API server is asked.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from starlette.requests import HTTPConnection

from agentic_gateway.problems import Refused

SECRET_HEADER: Final = "x-agentic-proxy-secret"  # noqa: S105  (its name)
RESERVED: Final = "system:"


@dataclass(frozen=True, repr=False)
class TrustedProxy:
    """What makes a request the proxy's, and whom it may name.

    Each of ``networks`` and ``secret`` that is set must hold. With ``has_client_certificates`` the listener itself
    takes only clients with the proxy's certificate.
    """

    user_header: str
    groups_header: str
    networks: tuple[IPv4Network | IPv6Network, ...]
    secret: str
    has_client_certificates: bool
    users: frozenset[str]
    groups: frozenset[str]

    def find_person(self, connection: HTTPConnection) -> tuple[str, tuple[str, ...]] | None:
        """Return user and groups that the proxy names, None if the request names nobody.

        Raises ``Refused``: 401 if it is not the proxy's, 403 for a person who is not on the list.
        """
        named = connection.headers.getlist(self.user_header)
        if not named:
            return None
        self._require_proxy(connection)
        if len(named) > 1:
            raise Refused("not-authenticated", f"the request has the header {self.user_header} twice")
        user = named[0].strip()
        if user not in self.users or user.startswith(RESERVED):
            raise Refused("forbidden", "this gateway stands for the users that its settings list, and not for this one")
        lists = connection.headers.getlist(self.groups_header) if self.groups_header else []
        return user, choose_groups(lists, self.groups)

    def _require_proxy(self, connection: HTTPConnection) -> None:
        refused = Refused("not-authenticated", "identity headers are believed from the proxy alone: send a token")
        if not (self.networks or self.secret or self.has_client_certificates):
            raise refused
        if self.networks:
            client = connection.client
            try:
                address = ip_address(client.host if client is not None else "")
            except ValueError:
                raise refused from None
            address = getattr(address, "ipv4_mapped", None) or address
            if not any(address in network for network in self.networks):
                raise refused
        if self.secret:
            given = connection.headers.getlist(SECRET_HEADER)
            if len(given) != 1 or not hmac.compare_digest(given[0].encode(), self.secret.encode()):
                raise refused


def choose_groups(lists: Sequence[str], allowed: frozenset[str]) -> tuple[str, ...]:
    """Return those of the proxy's groups (lists with commas) that are on the list: fewer groups are fewer rights."""
    named = {each.strip() for text in lists for each in text.split(",")}
    return tuple(sorted(each for each in named & allowed if not each.startswith(RESERVED)))
