"""A session's messages over a WebSocket, and what people send back: answers and turns.

The caller is checked before the upgrade: a refusal is an HTTP answer, and never a 101.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from agentic_core.errors import AgenticError, TransientError
from agentic_core.strict_json import JsonRefused, parse_strict_json
from agentic_gateway.api.answers import give_answer
from agentic_gateway.api.models import NewResponse, NewTurn
from agentic_gateway.api.turns import append_turn
from agentic_gateway.auth.identity import SUBPROTOCOL
from agentic_gateway.context import Context
from agentic_gateway.feeds.envelope import ERROR, Frame, build_notice
from agentic_gateway.feeds.hub import FeedFailed
from agentic_gateway.problems import FieldProblem, Refused, answer_problem
from agentic_gateway.stream.session_stream import Subscription, subscribe

MAX_MESSAGE_BYTES: Final = 256 * 1024
SEND_SECONDS: Final = 20.0
# A client has that long to take so many messages.
FRAMES_AT_ONCE: Final = 64
# What a client sends is taken one by one, and not more often than this on average.
MESSAGES_A_SECOND: Final = 10.0
BURST: Final = 20

GOING_AWAY: Final = 1001
NO_TEXT: Final = 1003
RESTART: Final = 1012
TOO_LARGE: Final = 1009
FAILED: Final = 1011
SLOW: Final = 4008
GONE: Final = 4404
# What ends a stream that was allowed once; a close frame has room for 123 bytes.
ENDS: Final = {
    "not-authenticated": (4401, "the token has ended: come back with another one"),
    "forbidden": (4403, "you may not read the session any more"),
    "not-found": (GONE, "the session is gone"),
    "gone": (GONE, "the session is gone, and another one has its name"),
}

log = logging.getLogger(__name__)
router = APIRouter()


@router.websocket("/ws")
async def serve(websocket: WebSocket) -> None:
    """Follow a session: ``/ws?namespace=…&sessionName=…&after=…``, with a token by header, subprotocol or query."""
    context: Context = websocket.app.state.context
    with contextlib.ExitStack() as slot:
        found = await _admit(websocket, context, slot)
        if found is None:
            return
        offered = websocket.headers.get("sec-websocket-protocol", "").split(",")
        # A browser takes only a protocol that it offered; the one that carries the token is not repeated.
        spoken = next((each.strip() for each in offered if each.strip() and SUBPROTOCOL not in each), None)
        await websocket.accept(spoken)
        # For the access log; the caller is there already.
        websocket.state.namespace, websocket.state.session = found.namespace, found.name
        with context.lifecycle.stream():
            await Connection(websocket, context, found).run()


async def _admit(websocket: WebSocket, context: Context, slot: contextlib.ExitStack) -> Subscription | None:
    """Return who may follow which session, counted as open in ``slot``; None if the refusal is sent already."""
    query = websocket.query_params
    try:
        found = await subscribe(
            context,
            websocket,
            query.get("namespace", ""),
            query.get("sessionName", ""),
            after=query.get("after"),
            channel="websocket",
        )
        slot.enter_context(context.callers.slots.hold(found.caller.name))
    except Refused as error:
        refused = error
    except TransientError as error:
        refused = Refused("unavailable", str(error), retry_after_seconds=1)
    else:
        return found
    await websocket.send_denial_response(answer_problem(refused, websocket.scope["path"]))
    return None


class Connection:
    """One open WebSocket."""

    def __init__(self, websocket: WebSocket, context: Context, found: Subscription) -> None:
        self._websocket = websocket
        self._context = context
        self._found = found
        self._sent = found.after

    async def run(self) -> None:
        """Send and receive until either side ends."""
        tasks = [
            asyncio.create_task(self._send_messages(), name="ws send"),
            asyncio.create_task(self._receive(), name="ws receive"),
            asyncio.create_task(self._leave(), name="ws leave"),
        ]
        found = self._found
        try:
            with self._context.rights.watch(found.caller, found.namespace, found.name, found.session_uid) as ended:
                ends: list[asyncio.Future[Any]] = [*tasks, ended]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                code, reason = ENDS[ended.result().kind]
            else:
                code, reason = next(read_end(task) for task in tasks if task.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._context.metrics.closed.labels(str(code)).inc()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._websocket.close(code, reason)

    async def _leave(self) -> tuple[int, str]:
        await self._context.lifecycle.leaving.wait()
        return RESTART, f"this replica ends: come back with after={self._sent}"

    async def _send_messages(self) -> tuple[int, str]:
        async with self._context.hub.open_feed(self._found.namespace, self._found.session_uid) as feed:
            while True:
                try:
                    async for batch in feed.follow(self._sent):
                        for start in range(0, len(batch), FRAMES_AT_ONCE):
                            part = batch[start : start + FRAMES_AT_ONCE]
                            await self._send(part)
                            self._sent = part[-1].seq or self._sent
                        self._context.metrics.frames.labels("websocket").inc(len(batch))
                except TimeoutError:
                    return SLOW, f"too slow: come back with after={self._sent}"
                except WebSocketDisconnect:
                    return GOING_AWAY, ""
                except FeedFailed:
                    return FAILED, f"the gateway failed: come back with after={self._sent}"
                except AgenticError as error:
                    log.info("the database does not answer a stream: %s", error)
                    await asyncio.sleep(1.0)
                else:
                    return GONE, "the session is gone"

    async def _send(self, frames: Sequence[Frame]) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await self._websocket.send({"type": "websocket.send", "frames": b"".join(each.wire for each in frames)})

    async def _receive(self) -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        left, last = float(BURST), loop.time()
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return GOING_AWAY, ""
            text = message.get("text")
            if text is None:
                return NO_TEXT, "messages are JSON texts"
            if len(text) > MAX_MESSAGE_BYTES:
                return TOO_LARGE, f"a message holds at most {MAX_MESSAGE_BYTES} bytes"
            left, last = min(BURST, left + (loop.time() - last) * MESSAGES_A_SECOND), loop.time()
            if left < 1:
                await asyncio.sleep((1 - left) / MESSAGES_A_SECOND)
            left -= 1
            await self._answer(text)

    async def _answer(self, text: str) -> None:
        """Do what a client asks for; whatever comes of it, it is told."""
        message: Any = None
        try:
            message = parse_strict_json(text, max_bytes=MAX_MESSAGE_BYTES)
            notice = await self._carry_out(message if isinstance(message, dict) else {})
        except JsonRefused as refused:
            fault = FieldProblem(pointer=refused.pointer, message=refused.message)
            notice = self._refuse(Refused("bad-request", "the message is no JSON that can be stored", [fault]), None)
        except Refused as refused:
            notice = self._refuse(refused, find_id(message))
        except AgenticError as error:
            notice = self._refuse(Refused("unavailable", str(error)), find_id(message))
        except Exception:
            log.exception("a message of a client could not be handled")
            notice = self._refuse(Refused("internal", "the gateway failed; its log says why"), find_id(message))
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            await self._send([notice])

    async def _carry_out(self, message: Mapping[str, Any]) -> Frame:
        data = message.get("data") if isinstance(message.get("data"), Mapping) else {}
        id_ = find_id(message)
        about = {} if id_ is None else {"id": id_}
        match message.get("type"):
            case "user_input":
                given = read_answer(data if isinstance(data, Mapping) else {})
                found = self._found
                await give_answer(
                    self._context, found.caller, found.namespace, found.name, given, session_uid=found.session_uid
                )
                metadata = {**about, "interruptId": given.interrupt_id}
                return build_notice("user_input", datetime.now(UTC), "accepted", metadata)
            case "user_message":
                found = self._found
                new = read_turn(message)
                turn = await append_turn(
                    self._context, found.caller, found.namespace, found.name, new, session_uid=found.session_uid
                )
                return build_notice("user_message", datetime.now(UTC), "accepted", {**about, "turn": turn["name"]})
            case "ping":
                return build_notice("pong", datetime.now(UTC), "", about)
            case other:
                raise Refused(
                    "bad-request", f"there is no type {str(other)[:64]!r}: send user_input, user_message or ping"
                )

    def _refuse(self, refused: Refused, id_: str | int | None) -> Frame:
        about = {} if id_ is None else {"id": id_}
        problem = refused.describe("/ws").model_dump(mode="json")
        return build_notice(ERROR, datetime.now(UTC), refused.detail, {**about, "problem": problem})


def read_end(task: asyncio.Task[tuple[int, str]]) -> tuple[int, str]:
    """Return the code and the reason with which a part of a connection ended, whatever made it."""
    error = task.exception()
    if error is None:
        return task.result()
    log.error("a stream ends by an error of ours", exc_info=error)
    return FAILED, "the gateway failed: come back with the last seq that you have"


def find_id(message: Any) -> str | int | None:
    """Return what a client calls its message, to be told what became of it; None if it has no name."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str | int) else None


def read_turn(message: Mapping[str, Any]) -> NewTurn:
    """Return the turn in a message: its ``data`` as for HTTP, or ``data.message``, a text for a graph of messages.

    Raises :class:`Refused` if it is neither.
    """
    data = message.get("data")
    if not isinstance(data, Mapping):
        raise Refused("bad-request", "user_message holds its turn in data")
    given = {key: value for key, value in data.items() if key not in ("message", "metadata")}
    if isinstance(data.get("message"), str):
        given["input"] = {"messages": [{"role": "user", "content": data["message"]}]}
    try:
        return NewTurn.model_validate(given)
    except ValidationError as error:
        faults = [
            FieldProblem(pointer="/data" + "".join(f"/{part}" for part in each["loc"]), message=each["msg"])
            for each in error.errors(include_url=False)
        ]
        raise Refused("bad-request", "user_message holds no turn", faults) from error


def read_answer(data: Mapping[str, Any]) -> NewResponse:
    """Return the answer in a message: ``{interruptId, value}``, or ``{response, metadata: {interrupt_id}}``.

    Raises :class:`Refused` if it names no question.
    """
    metadata = data.get("metadata") if isinstance(data.get("metadata"), Mapping) else {}
    id_ = data.get("interruptId") or (metadata.get("interrupt_id") if isinstance(metadata, Mapping) else None)
    value = data["value"] if "value" in data else data.get("response")
    try:
        return NewResponse.model_validate({"interruptId": id_, "value": value, "digest": data.get("digest")})
    except ValidationError as error:
        raise Refused("bad-request", "user_input names the question by data.interruptId") from error
