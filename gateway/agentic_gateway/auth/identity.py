"""Who calls: found by the API server from the caller's own credential, and remembered for a few seconds.

A token is never stored or logged: what is remembered is kept under its SHA-256.
"""

import base64
import binascii
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from starlette.datastructures import Headers, QueryParams

from agentic_gateway.kube.client import Credential, Kube, OnBehalf
from agentic_gateway.problems import Refused

REMEMBERED_SECONDS: Final = 10.0
# A token that the cluster does not know is asked about once in this time.
REFUSED_SECONDS: Final = 2.0
MAX_REMEMBERED: Final = 10_000
MAX_TOKEN_LENGTH: Final = 16_384
SUBPROTOCOL: Final = "agentic.bearer."

# How a caller came in: with a token, by a browser's log-in, named by a trusted proxy, or with a ticket.
Via = Literal["token", "login", "proxy", "ticket"]


@dataclass(frozen=True)
class Caller:
    """A person or program, as the API server knows them. The repr shows no token.

    ``token`` is what requests in their name carry: hand it to ``Kube.request``, and look at it nowhere.
    """

    name: str
    groups: tuple[str, ...]
    token: Credential
    extra: Mapping[str, tuple[str, ...]]
    via: Via = "token"
    traceparent: str = ""
    """The trace that their request is part of, to be passed on; empty if it names none."""

    def __repr__(self) -> str:
        return f"Caller({self.name!r})"


def find_token(headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> str | None:
    """Return the token that a request carries, None if it has none.

    By ``Authorization: Bearer``; for streams, if a browser can set no headers, also by the query's ``token`` or a
    WebSocket subprotocol ``agentic.bearer.<base64url of the token>``. Header names are lower case.

    Raises :class:`Refused` if there are two different ones, or one that cannot be a token.
    """
    found: list[str] = []
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme:
        if scheme.lower() != "bearer":
            raise Refused("not-authenticated", "the Authorization header is no bearer token: send 'Bearer <token>'")
        found.append(value.strip())
    if query is not None:
        if token := query.get("token"):
            found.append(token)
        offered = (each.strip() for each in headers.get("sec-websocket-protocol", "").split(","))
        found += [_decode(each.removeprefix(SUBPROTOCOL)) for each in offered if each.startswith(SUBPROTOCOL)]
    tokens = set(found)
    if len(tokens) > 1:
        raise Refused("not-authenticated", "the request carries two different tokens: send one")
    token = tokens.pop() if tokens else None
    if token is not None and not _is_token(token):
        raise Refused("not-authenticated", "the token is empty, too long, or holds characters that no token has")
    return token


def require_single(headers: Headers, query: QueryParams) -> None:
    """Raise ``Refused`` if a credential stands in a request twice: what a proxy saw may not be what is used here."""
    doubled = [
        *(name for name in ("authorization", "host", "origin") if len(headers.getlist(name)) > 1),
        *(name for name in ("token", "ticket", "namespace", "sessionName") if len(query.getlist(name)) > 1),
    ]
    if doubled:
        raise Refused("bad-request", f"the request has {doubled[0]} twice: send it once")


def _decode(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise Refused(
            "not-authenticated", f"the subprotocol {SUBPROTOCOL}… does not end in a token in base64url"
        ) from error


def _is_token(token: str) -> bool:
    return 0 < len(token) <= MAX_TOKEN_LENGTH and token.isascii() and token.isprintable() and " " not in token


class Identities:
    """Finds callers by what they send."""

    def __init__(self, kube: Kube, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Caller | Refused]] = OrderedDict()

    async def identify(self, credential: Credential | None) -> Caller:
        """Return who a credential belongs to.

        Raises :class:`Refused`: ``not-authenticated`` for none, a wrong or an expired one.
        """
        if credential is None:
            raise Refused("not-authenticated", "send a token of the cluster: 'Authorization: Bearer <token>'")
        key = _hash(credential)
        known = self._known.get(key)
        if known is None or known[0] <= self._clock():
            known = await self._look(key, credential)
        found = known[1]
        if isinstance(found, Refused):
            raise Refused(found.kind, found.detail)
        # The gateway's own token in it may have been replaced since.
        return replace(found, token=credential)

    async def _look(self, key: bytes, credential: Credential) -> tuple[float, Caller | Refused]:
        try:
            caller = _read_caller(await self._review(credential), credential)
            known: tuple[float, Caller | Refused] = self._clock() + REMEMBERED_SECONDS, caller
        except Refused as refused:
            if refused.status != 401:
                raise
            known = self._clock() + REFUSED_SECONDS, refused
        self._known[key] = known
        self._known.move_to_end(key)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return known

    async def _review(self, credential: Credential) -> Mapping[str, Any]:
        try:
            return await self._kube.request(
                "POST",
                "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                token=credential,
                body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
            )
        except Refused as refused:
            if refused.status == 401:
                raise Refused("not-authenticated", "the cluster does not know this token, or it has expired") from None
            raise


def _hash(credential: Credential) -> bytes:
    if isinstance(credential, OnBehalf):
        text = json.dumps(["on behalf", credential.user, credential.groups])
    else:
        text = json.dumps(["token", credential])
    return hashlib.sha256(text.encode()).digest()


def _read_caller(review: Mapping[str, Any], credential: Credential) -> Caller:
    user = (review.get("status") or {}).get("userInfo") or {}
    name = str(user.get("username") or "")
    if not name or name == "system:anonymous":
        raise Refused("not-authenticated", "the cluster does not know this token")
    extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
    return Caller(name, tuple(user.get("groups") or ()), credential, extra)
