"""Requests that carry an ``Idempotency-Key``: served once over all replicas, answered as often as they are sent.

What a request was answered is kept for a day. Of two at the same moment one is served, and the other gets its answer. A
gateway that ends in between leaves the request open for a minute; after that it is served again, and finds the object
that it had made: names and turns that nobody chose follow from the key.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, Response

from agentic_gateway.api.strict_route import StrictRequest, StrictRoute
from agentic_gateway.context import find_caller, find_context
from agentic_gateway.problems import FieldProblem, Refused, answer_problem
from agentic_store.repeated_requests import Known, RepeatedRequests, RequestKey

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
MAX_KEY: Final = 255
WAIT_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.1
# Answers that hold no longer than what they say: who calls, how often, and whether all parts are there.
_PASSING: Final = frozenset({401, 403, 408, 429})
_KEPT_HEADERS: Final = ("content-type", "location", "etag")

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


def find_digest(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            min_length=1,
            max_length=MAX_KEY,
            description="Any text of yours: the same request with the same key is served once, and answered each time"
            " as the first was. The key with another request gets 422. Kept for a day.",
        ),
    ] = None,
) -> str:
    """Return what stands for the request's key in names that follow from it; empty without a key."""
    return str(request.scope.get("state", {}).get("repetition") or "") if key else ""


WithRepetition = Annotated[str, Depends(find_digest)]


class OnceRoute(StrictRoute):
    """A route whose POST is served once for each key."""

    def get_route_handler(self) -> Answer:
        """Return what answers a request, once its key is looked at."""
        answer = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return answer

        async def look_and_answer(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None:
                return await answer(request)
            strict = StrictRequest(request.scope, request.receive)
            return await _serve_once(strict, key, answer)

        return look_and_answer


async def _serve_once(request: StrictRequest, key: str, answer: Answer) -> Response:
    context, caller = find_context(request), await find_caller(request)
    wanted = build_key(caller.name, request.method, request.scope["path"], key, request.url.query, await request.body())
    requests = context.database.repeated_requests
    if (known := await _take(requests, wanted)) is not None:
        return _replay(known)
    request.state.repetition = hashlib.sha256(
        f"{wanted.username}\n{wanted.route}\n{wanted.key}".encode(errors="surrogatepass") + wanted.digest
    ).hexdigest()
    try:
        response = await _answer(request, answer)
    except BaseException:
        await asyncio.shield(requests.forget(wanted))
        raise
    if response.status_code >= 500 or response.status_code in _PASSING:
        await requests.forget(wanted)
    else:
        await requests.finish(wanted, describe_response(response))
    return response


async def _answer(request: Request, answer: Answer) -> Response:
    """Return the answer of a route, be it a problem."""
    try:
        return await answer(request)
    except Refused as refused:
        return answer_problem(refused, request.scope["path"])


async def _take(requests: RepeatedRequests, wanted: RequestKey) -> Mapping[str, Any] | None:
    """Return what the request was answered before; None if it is to be served.

    Raises ``Refused``: 422 for the key of another request, 409 for one that takes too long to be served.
    """
    until = time.monotonic() + WAIT_SECONDS
    while True:
        known: Known | None = await requests.begin(wanted)
        if known is None:
            return None
        if known.digest != wanted.digest:
            raise Refused("key-reused", f"the {HEADER} came with another request before: choose a new one")
        if known.response is not None:
            return known.response
        if time.monotonic() > until:
            raise Refused("conflict", "the same request is still being served: try again", retry_after_seconds=1)
        await asyncio.sleep(_LOOK_SECONDS)


def build_key(username: str, method: str, path: str, key: str, query: str, body: bytes) -> RequestKey:
    """Return what a request is known by; raise ``Refused`` for a key that could be none."""
    if not 1 <= len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        error = FieldProblem(pointer="", message=f"header {HEADER}: 1 to {MAX_KEY} printable characters of ASCII")
        raise Refused("bad-request", "the idempotency key is none", [error])
    digest = hashlib.sha256(query.encode() + b"\n" + body).digest()
    return RequestKey(username, f"{method} {path}", key, digest)


def describe_response(response: Response) -> dict[str, Any]:
    """Return an answer as it is kept."""
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return {"status": response.status_code, "headers": headers, "body": bytes(response.body).decode()}


def _replay(kept: Mapping[str, Any]) -> Response:
    headers = {**kept["headers"], REPLAYED: "true"}
    return Response(str(kept["body"]), int(kept["status"]), headers)
