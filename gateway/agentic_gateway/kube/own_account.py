"""The gateway's own account: what it may do in its own name, which is little (manifests/gateway/rbac.yaml)."""

from agentic_gateway.kube.own_token import OwnToken
from agentic_gateway.problems import Refused


class OwnAccount:
    """The account whose token the gateway has, if it has one."""

    def __init__(self, token: OwnToken) -> None:
        self._token = token

    def read_token(self) -> str:
        """Return the token; raises ``Refused`` if the gateway runs without an account."""
        try:
            return self._token.read()
        except (OSError, ValueError) as error:
            detail = "the gateway has no account of its own, which runners' requests need: KUBERNETES_TOKEN_FILE"
            raise Refused("unavailable", detail, retry_after_seconds=10) from error
