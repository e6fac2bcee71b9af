"""Errors of the API server, and the cause of a refusal, which is read from its message.

The same texts occur in responses to us and in Events of controllers whose pod was refused. An unknown text counts as a
missing right or as a policy, and is shown unchanged.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from agentic_core.conditions import Reason
from agentic_core.errors import AgenticError, ApiUnavailable, Conflict, PermanentError, TransientError


class Cause(StrEnum):
    """The cause of a refusal; each can disappear without a change of the object."""

    RIGHTS = "rights"
    QUOTA = "quota"
    LIMIT_RANGE = "limit range"
    USER = "user"
    POLICY = "policy"
    ACCOUNT = "service account"
    TERMINATING = "terminating"


_PATTERNS: Final = (
    (Cause.TERMINATING, re.compile(r"because it is being terminated")),
    (Cause.QUOTA, re.compile(r"(exceeded|failed|insufficient|unknown for) quota")),
    (Cause.LIMIT_RANGE, re.compile(r"\b(minimum|maximum|limit to request ratio)\b.* per (Container|Pod|Persistent)")),
    (Cause.ACCOUNT, re.compile(r"error looking up service account|serviceaccount \"[^\"]*\" not found")),
    # OpenShift's, for a pod that asks for our user.
    (Cause.USER, re.compile(r"unable to validate against any security context constraint")),
    (
        Cause.POLICY,
        re.compile(r"denied (the )?request|violates PodSecurity|is forbidden: (?!User )|policy enforcement"),
    ),
)
_RIGHTS: Final = re.compile(r"is forbidden: User \".*\" cannot ")
_WEBHOOK: Final = re.compile(r"failed calling (webhook|admission)|failed to call webhook")

REASONS: Final = {
    Cause.RIGHTS: Reason.FORBIDDEN,
    Cause.QUOTA: Reason.QUOTA_EXCEEDED,
    Cause.LIMIT_RANGE: Reason.OUTSIDE_LIMIT_RANGE,
    Cause.USER: Reason.ADMISSION_REFUSED,
    Cause.POLICY: Reason.ADMISSION_REFUSED,
    Cause.ACCOUNT: Reason.NAMESPACE_NOT_PREPARED,
    Cause.TERMINATING: Reason.NAMESPACE_TERMINATING,
}
REMEDIES: Final = {
    Cause.RIGHTS: "give the operator the rights of its ClusterRole, or of its Role there, then it starts by itself",
    Cause.QUOTA: "it starts once the ResourceQuota has room: raise it, or delete what fills it",
    Cause.LIMIT_RANGE: "change the LimitRange, or the definition's resources or workspace, then it starts by itself",
    Cause.USER: "set the operator's RUNNER_USER to 'cluster' (Helm: podUser), then it starts by itself",
    Cause.POLICY: "change the policy, or the definition so that the policy lets it pass, then it starts by itself",
    Cause.ACCOUNT: "the operator makes it again, then it starts by itself",
    Cause.TERMINATING: "nothing starts in it any more: make the session in another namespace",
}


def find_cause(message: str) -> Cause:
    """Return the cause of a refusal with this message."""
    if _RIGHTS.search(message):
        return Cause.RIGHTS
    return next((cause for cause, pattern in _PATTERNS if pattern.search(message)), Cause.RIGHTS)


def is_of_policy(message: str) -> bool:
    """Return whether a policy refused an object, instead of its validation: policies choose their own codes."""
    return find_cause(message) is Cause.POLICY


def is_of_webhook(message: str) -> bool:
    """Return whether an admission webhook that has to be asked did not answer."""
    return _WEBHOOK.search(message) is not None


class NotFound(AgenticError):
    """There is no such object (any more)."""


class AlreadyExists(AgenticError):
    """An object of this name is there."""


class Forbidden(PermanentError):
    """The API server does not let us: rights, a quota, an admission policy, or a namespace that is being deleted."""

    def __init__(self, message: str, cause: Cause | None = None) -> None:
        super().__init__(message)
        self.cause = cause or find_cause(message)

    @property
    def is_terminating(self) -> bool:
        """Whether the namespace is being deleted."""
        return self.cause is Cause.TERMINATING


class Invalid(PermanentError):
    """The API server does not take the object as it is."""


class AdmissionUnavailable(TransientError):
    """An admission webhook that the API server has to ask does not answer."""


def translate_status(code: int, body: object, retry_after: str | None = None) -> AgenticError:
    """Return our error for a refusal of the API server; ``body`` is its ``Status`` or whatever came instead."""
    status: Mapping[str, Any] = body if isinstance(body, dict) else {}
    reason = status.get("reason") or ""
    message = str(status.get("message") or body or "no message")[:2000]
    text = f"the API server answered {code}: {message}"
    if code == 404:
        return NotFound(text)
    if code == 409:
        return AlreadyExists(text) if reason == "AlreadyExists" else Conflict(text)
    if code == 410:
        return Conflict(text)
    if code == 403:
        causes = (status.get("details") or {}).get("causes") or ()
        is_terminating = any(c.get("reason") == "NamespaceTerminating" for c in causes)
        return Forbidden(message, Cause.TERMINATING if is_terminating else None)
    if code in (400, 405, 406, 413, 415, 422):
        return Forbidden(message, Cause.POLICY) if is_of_policy(message) else Invalid(message)
    if code >= 500 and is_of_webhook(message):
        return AdmissionUnavailable(message)
    if code in (401, 408, 429) or code >= 500:
        seconds = (status.get("details") or {}).get("retryAfterSeconds")
        if retry_after is not None and retry_after.isdecimal():
            seconds = int(retry_after)
        return ApiUnavailable(text, retry_after_seconds=float(seconds) if seconds else None)
    return PermanentError(text)


class Blocked(TransientError):
    """An obstacle with its own reason."""

    def __init__(self, reason: Reason, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.reason = reason
