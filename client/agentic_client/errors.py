"""What can go wrong, as exceptions built from the gateway's problem details (RFC 9457).

::

    GatewayError
    ├── Problem              the gateway answered, and refused; status, type, detail and errors say why
    │   ├── BadRequest       400, 413, 422 and other 4xx: the request itself has to change
    │   │   └── InvalidInput 400: the workflow's schema refuses the inputs, the answer or the turn
    │   ├── NotAuthenticated 401
    │   ├── Forbidden        403
    │   ├── NotFound         404, 410
    │   ├── Conflict         409, 412: somebody else was first, or the state does not allow it
    │   ├── TooManyRequests  429: nothing was done; again after retry_after_seconds
    │   ├── Unavailable      502, 503, 504: again after retry_after_seconds
    │   └── ServerFault      other 5xx
    ├── Unreachable          no answer; is_sent says whether the request may have arrived
    ├── UnexpectedAnswer         the stream is not what the gateway sends
    └── WaitTimeout          also a TimeoutError: the session goes on
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

_PREFIX: Final = "urn:agentic-operator:problem:"
# A server that asks for more than this is asked again earlier.
LONGEST_RETRY_AFTER: Final = 300.0


class GatewayError(Exception):
    """Anything that the client raises of its own."""


@dataclass(frozen=True)
class FieldProblem:
    """One fault of the document that was sent; ``pointer`` is its place (RFC 6901)."""

    pointer: str
    message: str
    keyword: str = ""


class Problem(GatewayError):
    """The gateway refused a request."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        title: str = "",
        instance: str = "",
        errors: tuple[FieldProblem, ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.title = title
        self.instance = instance
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        places = "; ".join(f"{each.pointer or '/'}: {each.message}" for each in self.errors)
        return f"{self.detail} ({places})" if places else self.detail


class BadRequest(Problem):
    """The request itself has to change."""


class InvalidInput(BadRequest):
    """A schema refuses the inputs, the answer or the turn; ``errors`` has a pointer for each fault."""


class NotAuthenticated(Problem):
    """The token is missing, wrong or expired."""


class Forbidden(Problem):
    """The caller lacks a right, or a policy is against it."""


class NotFound(Problem):
    """There is no such object, or it is gone."""


class Conflict(Problem):
    """Somebody else was first, or the state does not allow it."""


class TooManyRequests(Problem):
    """Nothing was done, and the gateway asks to come back later."""


class Unavailable(Problem):
    """The gateway, or what it needs, does not answer at present."""


class ServerFault(Problem):
    """The gateway failed."""


class Unreachable(GatewayError):
    """There was no answer; ``is_sent`` is False if the request certainly did not arrive."""

    def __init__(self, message: str, *, is_sent: bool = True) -> None:
        super().__init__(message)
        self.is_sent = is_sent


class UnexpectedAnswer(GatewayError):
    """What came is not what the gateway sends: too large, no JSON, or messages that are missing again and again."""


class WaitTimeout(GatewayError, TimeoutError):
    """The time to wait is over; the session goes on."""


def build_problem(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime | None = None) -> Problem:
    """Return what a refusal becomes; a body that is no problem (a proxy's page) is told by its status alone.

    Names in ``headers`` are lower case.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    found: Mapping[str, Any] = parsed if isinstance(parsed, Mapping) else {}
    kind = str(found.get("type") or "").removeprefix(_PREFIX)
    return _choose_class(status, kind)(
        status,
        str(found.get("detail") or found.get("title") or f"the gateway answered {status}"),
        kind=kind,
        title=str(found.get("title") or ""),
        instance=str(found.get("instance") or ""),
        errors=tuple(_read_faults(found.get("errors"))),
        retry_after_seconds=read_retry_after(headers.get("retry-after"), now or datetime.now(UTC)),
    )


def _read_faults(found: object) -> list[FieldProblem]:
    return [
        FieldProblem(str(each.get("pointer") or ""), str(each.get("message") or ""), str(each.get("keyword") or ""))
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, Mapping)
    ]


def _choose_class(status: int, kind: str) -> type[Problem]:
    if kind == "invalid-input":
        return InvalidInput
    match status:
        case 401:
            return NotAuthenticated
        case 403:
            return Forbidden
        case 404 | 410:
            return NotFound
        case 409 | 412:
            return Conflict
        case 429:
            return TooManyRequests
        case 502 | 503 | 504:
            return Unavailable
        case _:
            return BadRequest if status < 500 else ServerFault


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """Return the seconds of a header ``Retry-After``, which holds a number or a date; None for neither."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
