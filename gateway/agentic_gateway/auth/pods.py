"""Which pod calls: known by its own token for this audience, which the API server looks at each time.

Nothing is remembered: a token whose pod is gone is worth nothing from that moment on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_core.contract import GATEWAY_AUDIENCE
from agentic_gateway.kube.client import Kube
from agentic_gateway.kube.own_account import OwnAccount
from agentic_gateway.problems import Refused

_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
_POD_UID: Final = "authentication.kubernetes.io/pod-uid"
_ACCOUNT: Final = "system:serviceaccount:"


@dataclass(frozen=True)
class CallingPod:
    """A pod as its token says."""

    namespace: str
    name: str
    uid: str


class PodIdentities:
    """Finds pods by their tokens."""

    def __init__(self, kube: Kube, own: OwnAccount) -> None:
        self._kube = kube
        self._own = own

    async def identify(self, token: str | None) -> CallingPod:
        """Return the pod that a token was given to.

        Raises :class:`Refused`: ``not-authenticated`` for none, one for others, one that expired, and one whose pod is
        gone; ``forbidden`` for one that belongs to no pod.
        """
        if token is None:
            raise Refused("not-authenticated", "send the pod's token: 'Authorization: Bearer <content of TOKEN_FILE>'")
        review = await self._kube.request(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            token=self._own.read_token(),
            body={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": [GATEWAY_AUDIENCE]},
            },
        )
        return read_pod(review.get("status") or {})


def read_pod(status: Mapping[str, Any]) -> CallingPod:
    """Return the pod that a TokenReview's status names; raises as :meth:`PodIdentities.identify` does."""
    # An API server that knows no audiences returns none, and would take a token for anybody.
    if status.get("authenticated") is not True or GATEWAY_AUDIENCE not in (status.get("audiences") or ()):
        raise Refused(
            "not-authenticated",
            f"this is no valid token of a pod for the audience {GATEWAY_AUDIENCE!r}: it is another's, has expired, or"
            " its pod is gone",
        )
    user = status.get("user") or {}
    extra = user.get("extra") or {}
    name, uid = _single(extra.get(_POD_NAME)), _single(extra.get(_POD_UID))
    prefix, _, rest = str(user.get("username") or "").partition(_ACCOUNT)
    namespace, _, account = rest.partition(":")
    if prefix or not account or not name or not uid:
        raise Refused("forbidden", "the token is bound to no pod: runners send the one at TOKEN_FILE")
    return CallingPod(namespace, name, uid)


def _single(values: Any) -> str:
    return str(values[0]) if isinstance(values, list) and len(values) == 1 else ""
