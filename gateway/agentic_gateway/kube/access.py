"""What callers may do, asked of the API server in their own names, and remembered for a few seconds.

For routes that read the database alone: where a request goes to the API server itself, that one decides.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from agentic_core.names import GROUP
from agentic_gateway.kube.client import Credential, Kube, OnBehalf
from agentic_gateway.problems import Refused

ALLOWED_SECONDS: Final = 5.0
DENIED_SECONDS: Final = 2.0
MAX_REMEMBERED: Final = 50_000

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Access:
    """Answers of SelfSubjectAccessReview; a token is remembered by its SHA-256 alone."""

    def __init__(self, kube: Kube, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._known: OrderedDict[tuple[bytes, tuple[tuple[str, str], ...]], tuple[float, bool]] = OrderedDict()

    async def may(
        self,
        credential: Credential,
        verb: str,
        resource: str,
        namespace: str,
        name: str = "",
        *,
        subresource: str = "",
        group: str = GROUP,
    ) -> bool:
        """Return whether the caller has a right; raises :class:`Refused` if the API server does not say."""
        asked = {
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "verb": verb,
            "namespace": namespace,
            "name": name,
        }
        attributes = {key: value for key, value in asked.items() if value}
        key = _digest(credential), tuple(sorted(attributes.items()))
        known = self._known.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        review: dict[str, Any] = await self._kube.request("POST", _REVIEWS, token=credential, body=body)
        is_allowed = (review.get("status") or {}).get("allowed") is True
        self._known[key] = (self._clock() + (ALLOWED_SECONDS if is_allowed else DENIED_SECONDS), is_allowed)
        self._known.move_to_end(key)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return is_allowed


def _digest(credential: Credential) -> bytes:
    parts = (
        (credential.token, credential.user, *credential.groups) if isinstance(credential, OnBehalf) else (credential,)
    )
    return hashlib.sha256("\0".join(parts).encode()).digest()


async def require_right(
    access: Access,
    credential: Credential,
    verb: str,
    resource: str,
    namespace: str,
    name: str = "",
    *,
    subresource: str = "",
) -> None:
    """Raise ``Refused`` (403), with what is missing, unless the caller has a right."""
    if not await access.may(credential, verb, resource, namespace, name, subresource=subresource):
        what = f"{resource}/{subresource}" if subresource else resource
        raise Refused("forbidden", f"this takes the right to {verb} {what} of {GROUP} in namespace {namespace!r}")
