"""Why the API server refuses an object, read from its words: they are all that it gives.

The same words come as an answer to us and in the Events of controllers that were refused a pod. What is not known here
counts as a missing right or as a policy, and is shown as it was said.
"""

import re
from enum import StrEnum
from typing import Final

from agentic_core.conditions import Reason


class Cause(StrEnum):
    """What stands behind a refusal; each can go away without the object being changed."""

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
    """Return what stands behind a refusal that says this."""
    if _RIGHTS.search(message):
        return Cause.RIGHTS
    return next((cause for cause, pattern in _PATTERNS if pattern.search(message)), Cause.RIGHTS)


def is_of_policy(message: str) -> bool:
    """Say whether an object was refused by a policy rather than for what it is: policies choose their own codes."""
    return find_cause(message) is Cause.POLICY


def is_of_webhook(message: str) -> bool:
    """Say whether an admission webhook that has to be asked did not answer."""
    return _WEBHOOK.search(message) is not None
