"""Problem details (RFC 9457): how every refusal of the gateway looks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from agentic_core.errors import AgenticError

MEDIA_TYPE: Final = "application/problem+json"
_PREFIX: Final = "urn:agentic-operator:problem:"


class FieldProblem(BaseModel):
    """One fault in the document that was sent."""

    model_config = ConfigDict(frozen=True)

    pointer: str = Field(description="JSON pointer (RFC 6901) into the request's body; empty for the whole of it.")
    message: str = Field(description="What is wrong, and what to write instead.")
    keyword: str = Field("", description="JSON Schema's keyword that refuses it, if it is a schema's.")


class ProblemDetails(BaseModel):
    """The body of every answer that is not a success."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="What kind of problem it is, as a URN that does not change.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The answer's HTTP status.")
    detail: str = Field(description="What happened here, and what to do about it.")
    instance: str = Field("", description="The path that was asked for, without its query.")
    errors: tuple[FieldProblem, ...] = Field((), description="Each fault of the body, sorted by pointer.")


TITLES: Final[Mapping[str, tuple[int, str]]] = {
    "bad-request": (400, "The request cannot be read"),
    "invalid-input": (400, "The inputs are refused"),
    "not-authenticated": (401, "No valid token"),
    "forbidden": (403, "Not allowed"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "request-timeout": (408, "The request took too long"),
    "conflict": (409, "Conflict"),
    "gone": (410, "Gone"),
    "precondition-failed": (412, "The object has changed"),
    "too-large": (413, "Too large"),
    "unsupported-media-type": (415, "Not JSON"),
    "range-not-satisfiable": (416, "No such range"),
    "invalid-resource": (422, "The resource is refused"),
    "key-reused": (422, "The idempotency key belongs to another request"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "Internal error"),
    "unavailable": (503, "Unavailable"),
    "timeout": (504, "No answer in time"),
}


# What the API server finds wrong, as JSON Schema's keywords; FieldValueInvalid can be any of them.
_KEYWORDS: Final[Mapping[str, str]] = {
    "FieldValueRequired": "required",
    "FieldValueNotSupported": "enum",
    "FieldValueTypeInvalid": "type",
    "FieldValueTooLong": "maxLength",
    "FieldValueTooMany": "maxItems",
    "FieldValueDuplicate": "uniqueItems",
}


class Refused(AgenticError):
    """The request gets a problem for an answer.

    ``kind`` is a key of :data:`TITLES`; ``retry_after_seconds`` becomes the header ``Retry-After``.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        *,
        retry_after_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status, self.title = TITLES[kind]
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds
        self._headers = dict(headers or {})

    def describe(self, instance: str) -> ProblemDetails:
        """Return the body of the answer; ``instance`` is the path of the request."""
        return ProblemDetails(
            type=_PREFIX + self.kind,
            title=self.title,
            status=self.status,
            detail=self.detail,
            instance=instance,
            errors=tuple(sorted(self.errors, key=lambda each: each.pointer)),
        )

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with the answer."""
        found = dict(self._headers)
        if self.retry_after_seconds is not None:
            found["Retry-After"] = str(self.retry_after_seconds)
        return {**found, "WWW-Authenticate": "Bearer"} if self.status == 401 else found


def answer_problem(refused: Refused, path: str) -> Response:
    """Return the answer that a refusal becomes; ``path`` is the request's, without its query."""
    body = refused.describe(path).model_dump(mode="json")
    return JSONResponse(body, refused.status, headers=refused.headers, media_type=MEDIA_TYPE)


def encode_problem(refused: Refused, path: str) -> bytes:
    """Return the body of the answer that a refusal becomes, for what answers without the framework."""
    return json.dumps(refused.describe(path).model_dump(mode="json")).encode()


def kind_of(status: int) -> str:
    """Return the kind of problem for an HTTP status; ``internal`` for one that has none."""
    exact = next((kind for kind, (code, _) in TITLES.items() if code == status), None)
    return exact or ("bad-request" if 400 <= status < 500 else "internal")


def read_status(status: int, body: Any) -> Refused:
    """Return what a refusal of the API server becomes: its ``Status`` object, or anything else in its place."""
    found = body if isinstance(body, Mapping) else {}
    message = str(found.get("message") or f"the API server answered {status}")
    given = found.get("details")
    details: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    causes = details.get("causes")
    errors = [
        FieldProblem(
            pointer=build_pointer(str(cause.get("field") or "")),
            message=str(cause.get("message") or ""),
            keyword=_KEYWORDS.get(str(cause.get("reason")), ""),
        )
        for cause in (causes if isinstance(causes, list) else ())
        if isinstance(cause, Mapping) and cause.get("message")
    ]
    wish = details.get("retryAfterSeconds")
    retry = wish if isinstance(wish, int) and 0 < wish < 86_400 else None
    if status == 504 or (status == 500 and "etcdserver: request timed out" in message):
        return Refused("unavailable", message, retry_after_seconds=1)
    is_busy = status in (429, 503)
    return Refused(kind_of(status), message, errors, retry_after_seconds=retry or (1 if is_busy else None))


def build_pointer(field: str) -> str:
    """Return the JSON pointer of a field as the API server writes it.

    ``spec.turns[0].input`` becomes ``/spec/turns/0/input``; what is no path (``<nil>``, empty) becomes the empty
    pointer. Keys in brackets are taken whole, dots included.
    """
    if not field or field.startswith("<"):
        return ""
    parts: list[str] = []
    text = ""
    rest = field
    while rest:
        head, rest = rest[0], rest[1:]
        if head == ".":
            parts, text = ([*parts, text] if text else parts), ""
        elif head == "[":
            parts, text = ([*parts, text] if text else parts), ""
            inside, _, rest = rest.partition("]")
            parts.append(inside.strip("\"'"))
        else:
            text += head
    if text:
        parts.append(text)
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
