"""Limits on what a request may bring, and how long it may take; each is judged before anything is parsed."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentic_core.strict_json import has_deeper_nesting, has_longer_numbers
from agentic_gateway.problems import MEDIA_TYPE, FieldProblem, Refused, encode_problem

# A document of ours holds inputs of 64 levels, a few levels down.
MAX_JSON_DEPTH: Final = 96
# As many digits as Python makes an integer of.
MAX_JSON_DIGITS: Final = 4300
BODY_SECONDS: Final = 30.0
# A client that is still sending sees a closed connection, and not why: so what is too large is read and thrown away,
# as far as a form with a wrong file goes.
MAX_DISCARDED_BYTES: Final = 16 * 1024 * 1024
DISCARD_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Limits:
    """What one request may bring, and how long its answer may take to begin."""

    body_bytes: int = 2 * 1024 * 1024
    answer_seconds: float = 60.0


def refuse_hostile_json(text: bytes) -> None:
    """Raise ``Refused`` for JSON that a parser would choke on: nested too deep, or numbers of thousands of digits."""
    if has_deeper_nesting(text, MAX_JSON_DEPTH):
        raise Refused("bad-request", f"the JSON is nested more than {MAX_JSON_DEPTH} levels deep: flatten it")
    if has_longer_numbers(text, MAX_JSON_DIGITS):
        message = f"a number has more than {MAX_JSON_DIGITS} digits: use a string"
        raise Refused("bad-request", message, [FieldProblem(pointer="", message=message)])


class BodyLimit:
    """Reads each body whole before the application does, within a size, a time, and the limits of JSON."""

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except Refused as refused:
            await send_problem(refused, scope, send)
            return
        if body is None:
            return
        is_given = False

        async def receive_again() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_again, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body, None if the client is gone."""
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > self._max_bytes:
            await _discard(receive)
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part: bytes = message.get("body") or b""
                    size += len(part)
                    if size > self._max_bytes:
                        if message.get("more_body"):
                            await _discard(receive)
                        raise self._too_large()
                    parts.append(part)
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise Refused(
                "request-timeout", f"the body did not arrive within {self._seconds:g} s: send it at once"
            ) from None
        body = b"".join(parts)
        kind = headers.get(b"content-type", b"application/json").lower()
        if body and b"json" in kind:
            refuse_hostile_json(body)
        return body

    def _too_large(self) -> Refused:
        return Refused("too-large", f"a request's body holds at most {self._max_bytes} bytes")


async def _discard(receive: Receive) -> None:
    """Read on until the body ends, the client is gone, or the limits above are reached."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while size < MAX_DISCARDED_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
                size += len(message.get("body") or b"")


class TimeLimit:
    """Ends a request whose answer has not begun after ``seconds`` with 504; a stream begins at once and may go on."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = asyncio.timeout(self._seconds)
        is_begun = False

        async def send_begun(message: Message) -> None:
            nonlocal is_begun
            if not is_begun:
                is_begun = True
                limit.reschedule(None)
            await send(message)

        try:
            async with limit:
                await self._app(scope, receive, send_begun)
        except TimeoutError:
            if is_begun:
                raise
            refused = Refused("timeout", f"no answer within {self._seconds:g} s: try again", retry_after_seconds=1)
            await send_problem(refused, scope, send)


async def send_problem(refused: Refused, scope: Scope, send: Send) -> None:
    """Answer with a refusal, outside of the application's own handlers."""
    text = encode_problem(refused, scope["path"])
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(text)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    if refused.status in (408, 413):
        # The rest of the body is not read.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
