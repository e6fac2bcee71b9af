"""Bodies of requests are read strictly, by the rules for what every part can store.

Python's parser takes ``NaN``, doubled keys, halves of surrogate pairs and numbers that become infinity or lose digits.
Here they are refused with their place before any code sees them.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from agentic_core.strict_json import JsonRefused, parse_strict_json
from agentic_gateway.problems import FieldProblem, Refused


class StrictRequest(Request):
    """A request that parses its body once, by the strict rules."""

    _value: Any = None
    _is_parsed = False

    async def json(self) -> Any:
        """Return the body's value; raises ``Refused``."""
        if not self._is_parsed:
            require_json(self.headers.get("content-type", ""))
            self._value, self._is_parsed = read_body(await self.body()), True
        return self._value


class StrictRoute(APIRoute):
    """A route whose body is strict JSON of the media type ``application/json`` or one that ends in ``+json``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request, once its body is read."""
        answer = super().get_route_handler()
        if self.body_field is None:
            return answer

        async def read_and_answer(request: Request) -> Response:
            is_strict = isinstance(request, StrictRequest)
            strict = request if is_strict else StrictRequest(request.scope, request.receive)
            if await strict.body():
                # Parsed here already: what FastAPI catches around its own parsing would lose the place.
                await strict.json()
            return await answer(strict)

        return read_and_answer


def require_json(content_type: str) -> None:
    """Raise ``Refused`` unless a media type is JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise Refused("unsupported-media-type", "send the body as JSON: 'Content-Type: application/json'")


def read_body(text: bytes) -> Any:
    """Return the value of a body; raise ``Refused``, with the place, for what is no JSON or could not be stored."""
    try:
        return parse_strict_json(text, max_bytes=len(text), as_stored=True)
    except JsonRefused as refused:
        error = FieldProblem(pointer=refused.pointer, message=refused.message)
        raise Refused("bad-request", "the body is no JSON that can be stored", [error]) from refused
