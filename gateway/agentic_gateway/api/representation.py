"""How an object of the API server is answered: its own text, its version as the ETag, and the conditions on both."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Header, Response

from agentic_gateway.kube.client import Exchange, Json
from agentic_gateway.problems import Refused

_TAG: Final = re.compile(r'(W/)?"([^"]*)"')
# The API server reads versions as numbers, and answers others with an error of its own.
_VERSION: Final = re.compile(r"[1-9][0-9]{0,18}")

IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=1024, description="The ETag that was read: another one gets 412.")
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", max_length=1024, description="The ETag that is known: it gets 304.")
]


def answer_object(
    exchange: Exchange, *, status: int = 200, known: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer with the object's text; 304 if ``known`` (``If-None-Match``) names its version."""
    sent = dict(headers or {})
    if exchange.version:
        sent["ETag"] = f'"{exchange.version}"'
        if known is not None and matches(known, exchange.version):
            return Response(None, 304, sent)
    return Response(exchange.text, status, sent, media_type="application/json")


def matches(given: str, version: str) -> bool:
    """Return whether a list of ETags, weak ones included, names this version; ``*`` names each."""
    return given.strip() == "*" or any(tag == version for _, tag in _TAG.findall(given))


def read_versions(if_match: str | None) -> frozenset[str] | None:
    """Return the versions that ``If-Match`` allows; None if any will do.

    Raises ``Refused`` (412) if it allows none that could be: weak ETags never match here (RFC 9110, 13.1.1).
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = frozenset(tag for weak, tag in _TAG.findall(if_match) if not weak and _VERSION.fullmatch(tag))
    if not found:
        raise Refused("precondition-failed", "If-Match names no version of this object: send the ETag that was read")
    return found


def require_version(versions: frozenset[str] | None, found: Json) -> None:
    """Raise ``Refused`` (412) unless the object has one of these versions."""
    version = (found.get("metadata") or {}).get("resourceVersion")
    if versions is not None and version not in versions:
        raise refuse_version()


def refuse_version() -> Refused:
    """Return the refusal for an object that changed since it was read."""
    return Refused("precondition-failed", "the object has changed since it was read: read it again")
