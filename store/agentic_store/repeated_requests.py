"""``gateway_idempotency``: a request that is sent again under its key is answered again, and served once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_store.pool import Connections
from agentic_store.results.output import encode_json
from agentic_store.statements import load_statements

_SQL: Final = load_statements("repeated_requests")
LEASE_SECONDS: Final = 60.0
KEEP_SECONDS: Final = 86_400.0


@dataclass(frozen=True)
class RequestKey:
    """What a request is known by; ``digest`` is the SHA-256 of what it asks for."""

    username: str
    route: str
    key: str
    digest: bytes


@dataclass(frozen=True)
class Known:
    """A request of this key that came before."""

    digest: bytes
    response: Mapping[str, Any] | None
    """None while it is being served."""


class RepeatedRequests:
    """The requests that carry a key, over all replicas."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def begin(self, request: RequestKey, *, lease_seconds: float = LEASE_SECONDS) -> Known | None:
        """Take a request to serve, None is returned then; or return the one of the same key that came before.

        One that was taken and not finished in time can be taken again, by the same request alone.
        """
        params = {**_params(request), "seconds": lease_seconds}
        while True:
            async with self._connections() as conn:
                if await (await conn.execute(_SQL["begin"], params)).fetchone() is not None:
                    return None
                row = await (await conn.execute(_SQL["look"], params)).fetchone()
            if row is not None:
                return Known(bytes(row["request_digest"]), row["response"])

    async def finish(
        self, request: RequestKey, response: Mapping[str, Any], *, keep_seconds: float = KEEP_SECONDS
    ) -> None:
        """Record what a request was answered, for those that come after it."""
        params = {**_params(request), "response": encode_json(response), "seconds": keep_seconds}
        async with self._connections() as conn:
            await conn.execute(_SQL["finish"], params)

    async def forget(self, request: RequestKey) -> None:
        """Let a request be served anew: it did not come to an answer that holds."""
        async with self._connections() as conn:
            await conn.execute(_SQL["forget"], _params(request))


def _params(request: RequestKey) -> dict[str, Any]:
    return {"username": request.username, "route": request.route, "key": request.key, "digest": request.digest}
