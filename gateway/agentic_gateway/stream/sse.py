"""A session's messages as Server-Sent Events; ``Last-Event-ID`` goes on after the last one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from agentic_core.errors import AgenticError
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.context import WithContext
from agentic_gateway.feeds.envelope import ERROR, Frame, build_notice
from agentic_gateway.feeds.hub import FeedFailed
from agentic_gateway.problems import Refused
from agentic_gateway.stream.session_stream import subscribe

HEARTBEAT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
# Documented, and judged after who asks: nobody gets 401, whatever they ask for.
CURSOR_PATTERN: Final = "^([0-9]+-)?[0-9]{1,18}$"
HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    # nginx would wait for its buffer to fill.
    "X-Accel-Buffering": "no",
}

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1", tags=["streams"])


@router.get(
    "/agentic-sessions/{namespace}/{name}/stream",
    summary="Follow a session",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "One event a message, without end."}},
)
async def stream_session(
    namespace: Namespace,
    name: Name,
    request: Request,
    context: WithContext,
    after: Annotated[
        str | None,
        Query(
            max_length=64,
            description="seq of the last message that you have.",
            json_schema_extra={"pattern": CURSOR_PATTERN},
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(alias="Last-Event-ID", max_length=64, json_schema_extra={"pattern": CURSOR_PATTERN}),
    ] = None,
) -> Any:
    """Send every message after ``after``, then each new one; a comment each five seconds keeps the connection open."""
    found = await subscribe(context, request, namespace, name, after=last_event_id or after, channel="events")
    slot = ExitStack()
    slot.enter_context(context.callers.slots.hold(found.caller.name))

    async def send() -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        watched = context.rights.watch(found.caller, found.namespace, found.name, found.session_uid)
        with context.lifecycle.stream(), watched as ended:
            async with context.hub.open_feed(found.namespace, found.session_uid) as feed:
                sent = found.after
                batches = feed.follow(sent)
                leaving = asyncio.create_task(context.lifecycle.leaving.wait())
                waiting: asyncio.Task[Sequence[Frame]] | None = None
                try:
                    while True:
                        waiting = waiting or asyncio.ensure_future(anext(batches))
                        ends: list[asyncio.Future[Any]] = [waiting, leaving, ended]
                        done, _ = await asyncio.wait(
                            ends, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                        )
                        if leaving in done:
                            return
                        if ended in done:
                            yield encode([describe_end(ended.result())])
                            return
                        if not done:
                            yield b": keep-alive\n\n"
                            continue
                        try:
                            batch = waiting.result()
                        except (StopAsyncIteration, FeedFailed):
                            return
                        except AgenticError as error:
                            # The connection stays; what the client lacks comes when the database does.
                            log.info("the database does not answer a stream: %s", error)
                            batches = feed.follow(sent)
                            waiting = asyncio.ensure_future(_take_later(batches))
                            continue
                        waiting = None
                        sent = batch[-1].seq or sent
                        yield encode(batch)
                        context.metrics.frames.labels("sse").inc(len(batch))
                finally:
                    leaving.cancel()
                    if waiting is not None:
                        waiting.cancel()

    return _Response(send(), slot, media_type="text/event-stream", headers=HEADERS)


async def _take_later(batches: AsyncIterator[Sequence[Frame]]) -> Sequence[Frame]:
    await asyncio.sleep(RETRY_SECONDS)
    return await anext(batches)


class _Response(StreamingResponse):
    """A stream that counts as open until its answer has ended, however it ends."""

    def __init__(self, content: AsyncIterator[bytes], slot: ExitStack, **rest: Any) -> None:
        super().__init__(content, **rest)
        self._slot = slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._slot:
            await super().__call__(scope, receive, send)


def describe_end(refused: Refused) -> Frame:
    """Return the last message of a stream that its client may no longer follow."""
    problem = refused.describe("").model_dump(mode="json")
    return build_notice(ERROR, datetime.now(UTC), refused.detail, {"problem": problem})


def encode(batch: Sequence[Frame]) -> bytes:
    """Return messages as Server-Sent Events: their type, their number as the id, their text in one line.

    What is no row of the log has no id: a client comes back with the last one that it was given.
    """
    return "".join(
        f"event: {frame.type}\n"
        f"{'' if frame.event_id is None else f'id: {frame.event_id}{chr(10)}'}"
        f"data: {frame.text}\n\n"
        for frame in batch
    ).encode()
