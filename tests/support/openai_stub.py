"""A server that speaks enough of the chat-completions protocol to run the agent example, with an answer it knows.

It asks for the first tool, then with its result for the second, then answers. ``python -m tests.support.openai_stub``
serves it for a cluster; tests start it on the loopback address.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

KEY = "stub-key"


class OpenAIStub(ThreadingHTTPServer):
    """Answers chat completions; ``requests`` holds what was asked, in order."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, fail_first: int = 0) -> None:
        self.requests: list[dict[str, Any]] = []
        self.failures_left = fail_first
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}/v1"


@contextmanager
def serve_openai_stub(*, fail_first: int = 0) -> Iterator[OpenAIStub]:
    """Serve the stub on the loopback address; the first ``fail_first`` requests get a 503."""
    with OpenAIStub(fail_first=fail_first) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, OpenAIStub)
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self._reply(404, {"error": {"message": f"no such path {self.path}", "type": "invalid_request_error"}})
        elif self.headers["Authorization"] != f"Bearer {KEY}":
            self._reply(401, {"error": {"message": "incorrect API key", "type": "invalid_request_error"}})
        elif self.server.failures_left:
            self.server.failures_left -= 1
            self._reply(503, {"error": {"message": "overloaded", "type": "server_error"}})
        else:
            self.server.requests.append(request)
            message = _next_message(request)
            if request.get("stream"):
                self._stream(request, message)
            else:
                self._reply(200, _completion(request, message))

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, request: dict[str, Any], message: dict[str, Any]) -> None:
        calls = [{"index": index, **call} for index, call in enumerate(message.get("tool_calls", []))]
        delta = {**message, "tool_calls": calls} if calls else message
        finish = "tool_calls" if calls else "stop"
        chunks = [
            {
                **_head(request, "chat.completion.chunk"),
                "choices": [{"index": 0, "delta": part, "finish_reason": reason}],
            }
            for part, reason in ((delta, None), ({}, finish))
        ]
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def _next_message(request: dict[str, Any]) -> dict[str, Any]:
    """Return what a good model says next."""
    results = [message["content"] for message in request["messages"] if message["role"] == "tool"]
    if "refund" in {each["function"]["name"] for each in request.get("tools", ())}:
        if not results:
            return _call("call-1", "look_up_order", {"order": "A-1001"})
        if len(results) == 1:
            return _call("call-2", "refund", {"order": "A-1001", "amount": 79.0})
        return {"role": "assistant", "content": f"Done: {results[1]}"}
    if not results:
        return _call("call-1", "days_between", {"start": "2024-02-01", "end": "2024-03-01"})
    if len(results) == 1:
        return _call("call-2", "calculate", {"expression": f"{results[0]} ** 2"})
    return {"role": "assistant", "content": f"{results[0]} days; squared, that is {results[1]}."}


def _call(call_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def _completion(request: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    finish = "tool_calls" if "tool_calls" in message else "stop"
    return {
        **_head(request, "chat.completion"),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def _head(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-stub", "object": kind, "created": 1_700_000_000, "model": request["model"]}


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    with OpenAIStub(arguments.host, arguments.port) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
