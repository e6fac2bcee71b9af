"""No reference is ever fetched: a server that counts, and a file that would fit."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import jsonschema_rs
import pytest

from agentic_core.schema.sandbox import SchemaChecker
from agentic_core.schema.schema import CompiledSchema, check_instance, check_schema


class Canary(ThreadingHTTPServer):
    """Answers every request with a schema that allows everything, and counts."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/schema.json"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Canary)
        self.server.hits.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def references_to(url: str) -> list[dict[str, object]]:
    return [
        {"$ref": url},
        {"$dynamicRef": url},
        {"properties": {"a": {"items": {"$ref": f"{url}#/$defs/a"}}}},
        {"$id": url, "$ref": "other.json"},
        {"$schema": url},
        {"$id": url, "$defs": {"a": {"$id": "b.json", "$ref": "c.json"}}},
    ]


async def test_nothing_is_fetched_over_http(canary: Canary) -> None:
    async with SchemaChecker(workers=1) as checker:
        for schema in references_to(canary.url):
            assert check_schema(schema)
            assert check_instance(schema, {"a": [1]})
            assert await checker.check_schema(schema)
            assert await checker.check_instance(schema, {"a": [1]})
    assert canary.hits == []


def test_the_engine_alone_would_fetch_nothing_either(canary: Canary) -> None:
    for schema in references_to(canary.url)[:3]:
        with pytest.raises(jsonschema_rs.ValidationError, match="retrieving it failed"):
            CompiledSchema(schema)
    assert canary.hits == []


def test_no_file_is_read(tmp_path: Path) -> None:
    target = tmp_path / "target.json"
    target.write_text(json.dumps({"type": "integer"}))
    (problem,) = check_schema({"properties": {"a": {"$ref": target.as_uri()}}})
    assert problem.pointer == "/properties/a/$ref"
    assert "nothing is fetched" in problem.message
