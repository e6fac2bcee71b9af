"""Translates the API server's errors for a person at a prompt: the server, what is missing, what to run.

::

    PermanentError
    ├── NotFound        no such object, or no such namespace
    ├── NotInstalled    the cluster does not know the resource
    ├── NotLoggedIn     401
    ├── Forbidden       403, with the right that is missing
    ├── AlreadyExists   409 on creation
    └── Refused         the object is not valid, or a policy is against it
    Conflict            409: it changed since it was read
    TransientError
    ├── Expired         410: a watch or list has to begin anew
    └── ApiUnavailable  no answer, or an answer that says "later"
        └── NotReached  no connection: nothing was sent
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_cli.model.kinds import NAMESPACES, SESSIONS, Kind
from agentic_core.errors import AgenticError, ApiUnavailable, Conflict, PermanentError, TransientError


class NotFound(PermanentError):
    """There is no such object."""


class NotInstalled(PermanentError):
    """The cluster lacks the resource itself."""


class NotLoggedIn(PermanentError):
    """The credentials are missing, wrong or expired."""


class Forbidden(PermanentError):
    """The user lacks a right."""


class AlreadyExists(PermanentError):
    """The name is taken."""


class Refused(PermanentError):
    """The API server does not take the object or change."""


class Expired(TransientError):
    """The version of a watch or list is too old; ``continuation`` continues a list from the newest state."""

    def __init__(self, message: str, *, continuation: str = "") -> None:
        super().__init__(message)
        self.continuation = continuation


class NotReached(ApiUnavailable):
    """There is no connection to the API server: nothing was sent."""


@dataclass(frozen=True)
class Call:
    """One request, in the words of the API server's authorisation: who was asked, and for what."""

    server: str
    verb: str
    kind: Kind
    namespace: str | None = None
    name: str | None = None
    subresource: str = ""

    @property
    def resource(self) -> str:
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    @property
    def place(self) -> str:
        if not self.kind.is_namespaced:
            return "in the cluster"
        return f"in namespace {self.namespace!r}" if self.namespace else "in all namespaces"


# A server-side apply with a field that the resource does not have is answered as an error of the server.
_UNTYPED: Final = "failed to create typed patch object"


def build_error(call: Call, status: int, body: bytes, *, retry_after_seconds: float | None = None) -> AgenticError:
    """Translate an answer that is not a success."""
    answer = _read_status(body)
    message = str(answer.get("message") or body[:300].decode("utf-8", "replace").strip() or f"HTTP {status}")
    reason = answer.get("reason")
    match status:
        case 401:
            return NotLoggedIn(
                f"{call.server} does not accept these credentials: log in again, or choose another --context"
            )
        case 403:
            return Forbidden(_explain_forbidden(call, message))
        case 404:
            return _explain_missing(call, answer, message)
        case 409 if reason == "AlreadyExists":
            return AlreadyExists(f"a {call.kind.word} {call.name!r} exists already {call.place}: choose another --name")
        case 409:
            return Conflict(f"{call.kind.word} {call.name!r} was changed by somebody else at the same time: {message}")
        case 422 if _is_overtaken(call, answer):
            return Conflict(f"{call.kind.word} {call.name!r} was changed by somebody else at the same time: try again")
        case 410:
            return Expired(message, continuation=str((answer.get("metadata") or {}).get("continue") or ""))
        case 500 if _UNTYPED in message:
            return Refused(f"{call.server} refuses the {call.kind.word} {call.name!r}: {message.rpartition('): ')[2]}")
        case 429 | 500 | 502 | 503 | 504:
            return ApiUnavailable(
                f"{call.server} cannot answer now ({status}): {message}", retry_after_seconds=retry_after_seconds
            )
        case _:
            return Refused(
                f"{call.server} refuses to {call.verb} the {call.kind.word}: {_explain_causes(answer, message)}"
            )


def _read_status(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _explain_forbidden(call: Call, message: str) -> str:
    group = f" of {call.kind.group}" if call.kind.group else ""
    if "cannot" not in message:
        # Not a missing right: a policy or quota refused it, and gives the reason.
        return f"the cluster forbids to {call.verb} the {call.kind.word}: {message}"
    return f"not allowed: needs the right {call.verb!r} on {call.resource}{group} {call.place} ({_who(message)})"


def _who(message: str) -> str:
    _, found, rest = message.partition("User ")
    name = rest.split(" ", 1)[0].strip('"') if found else ""
    return f"user {name!r}; ask whoever administers the namespace" if name else "ask whoever administers the namespace"


def _explain_missing(call: Call, answer: Mapping[str, Any], message: str) -> AgenticError:
    details = answer.get("details") or {}
    if not answer or not details.get("name"):
        # The path itself is unknown: nobody has installed the definition of the resource.
        return NotInstalled(
            f"the cluster at {call.server} has no {call.kind.full_name}: the operator is not installed there;"
            " install its resources with `kubectl apply --server-side -k crds/`, or choose another --context"
        )
    if details.get("kind") == NAMESPACES.plural and call.kind is not NAMESPACES:
        return NotFound(f"there is no namespace {details['name']!r}: see `kubectl get namespaces`")
    if call.subresource:
        return NotFound(message)
    listing = "agentic list" if call.kind is SESSIONS else "agentic workflows list"
    where = f" -n {call.namespace}" if call.kind.is_namespaced else " --cluster"
    return NotFound(f"no {call.kind.word} {call.name!r} {call.place}: `{listing}{where}` shows what there is")


def _is_overtaken(call: Call, answer: Mapping[str, Any]) -> bool:
    """Return whether a JSON patch does not apply any more: a test in it fails, a place is gone, or a name is taken.

    Of the first two the API server says nothing but that there is an error in the request.
    """
    details = answer.get("details") or {}
    is_taken = any(cause.get("reason") == "FieldValueDuplicate" for cause in details.get("causes") or ())
    return call.verb == "patch" and (is_taken or (answer.get("reason") == "Invalid" and not details))


def _explain_causes(answer: Mapping[str, Any], message: str) -> str:
    _, is_strict, faults = message.partition("strict decoding error: ")
    if is_strict:
        # The fields' paths are in the words alone.
        return faults.replace("unknown field", "no such field:").replace('"', "")
    causes = (answer.get("details") or {}).get("causes") or []
    told = [
        f"{cause['field']}: {cause['message']}" if cause.get("field") else str(cause["message"])
        for cause in causes
        if cause.get("message") and cause.get("field") != "<nil>"
    ]
    return "; ".join(dict.fromkeys(told)) or message
