"""Logs of a session's pods, read and followed in the caller's own name."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any, Final

import aiohttp
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from agentic_core.names import RUNNER_CONTAINER, SESSION_LABEL
from agentic_core.runner_pods import Pod, choose_pods
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context, WithCaller, WithContext
from agentic_gateway.kube.client import SESSIONS, object_path
from agentic_gateway.problems import Refused

CHUNK: Final = 64 * 1024

router = APIRouter(prefix="/api/v1", tags=["records"], route_class=StrictRoute)


@dataclass(frozen=True)
class LogOptions:
    """What of a pod's log is wanted."""

    follow: bool
    timestamps: bool
    tail: int | None
    since_seconds: int | None

    def to_query(self) -> list[tuple[str, str]]:
        """Return the parameters of Kubernetes."""
        return [
            ("container", RUNNER_CONTAINER),
            ("follow", "true" if self.follow else ""),
            ("timestamps", "true" if self.timestamps else ""),
            ("tailLines", "" if self.tail is None else str(self.tail)),
            ("sinceSeconds", "" if self.since_seconds is None else str(self.since_seconds)),
        ]


@router.get(
    "/agentic-sessions/{namespace}/{name}/logs",
    summary="Read a session's logs",
    response_class=StreamingResponse,
    responses={200: {"description": "The lines.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def read_logs(
    namespace: Namespace,
    name: Name,
    context: WithContext,
    caller: WithCaller,
    follow: Annotated[bool, Query(description="Go on with new lines until the pod ends.")] = False,
    previous_runs: Annotated[
        bool, Query(alias="previousRuns", description="The runs before the newest, too, as far as their pods exist.")
    ] = False,
    timestamps: Annotated[bool, Query(description="When each line was written, before it.")] = False,
    tail: Annotated[int | None, Query(ge=0, le=10_000_000, description="Only the last lines of each pod.")] = None,
    since_seconds: Annotated[
        int | None, Query(alias="sinceSeconds", ge=1, le=2**31 - 1, description="Only lines that are not older.")
    ] = None,
) -> StreamingResponse:
    """Return the logs of the session's pods, one pod after the other; it takes the rights that `kubectl logs` does.

    Pods are deleted some minutes after a run's end, and at once while a session waits: without any this is a 409.
    """
    session = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    listed = await context.kube.request(
        "GET",
        f"/api/v1/namespaces/{namespace}/pods",
        token=caller.token,
        query=[("labelSelector", f"{SESSION_LABEL}={name}"), ("limit", "500")],
    )
    pods = choose_pods(listed.get("items") or (), str(session["metadata"]["uid"]), all_runs=previous_runs)
    started = [pod for pod in pods if pod.has_started or pod.is_over]
    if not started:
        raise Refused("conflict", _explain_none(pods, (session.get("status") or {}).get("phase") or "Pending"))
    wanted = LogOptions(follow, timestamps, tail, since_seconds)
    # Opened before the answer begins: what the API server refuses is this request's answer.
    stack = AsyncExitStack()
    first = await stack.enter_async_context(_open(context, caller, namespace, started[0], wanted))
    return _Logs(_send(context, caller, namespace, started[1:], wanted, first), stack)


class _Logs(StreamingResponse):
    """An answer that releases what it reads from, even where nobody takes its first byte."""

    def __init__(self, content: AsyncIterator[bytes], stack: AsyncExitStack) -> None:
        super().__init__(content, media_type="text/plain; charset=utf-8")
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


def _explain_none(pods: list[Pod], phase: str) -> str:
    if pods:
        return f"the pod {pods[-1].name!r} has not started yet {pods[-1].waits_for}".rstrip()
    return f"the session has no pod now: it is {phase}"


def _open(
    context: Context, caller: Caller, namespace: str, pod: Pod, wanted: LogOptions
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    path = f"/api/v1/namespaces/{namespace}/pods/{pod.name}/log"
    timeout: Any = {"timeout_seconds": None} if wanted.follow else {}
    return context.kube.stream("GET", path, token=caller.token, query=wanted.to_query(), **timeout)


async def _send(
    context: Context,
    caller: Caller,
    namespace: str,
    following: Sequence[Pod],
    wanted: LogOptions,
    first: aiohttp.ClientResponse,
) -> AsyncIterator[bytes]:
    async for chunk in first.content.iter_chunked(CHUNK):
        yield chunk
    for pod in following:
        try:
            async with _open(context, caller, namespace, pod, wanted) as response:
                async for chunk in response.content.iter_chunked(CHUNK):
                    yield chunk
        except Refused as refused:
            # Deleted in between, with its Job; what was sent stands.
            if refused.status != 404:
                raise
