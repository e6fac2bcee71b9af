"""Inputs and schemas made to break what reads them: refused or run, never a stuck operator, never a request made."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from agentic_core.contract import MAX_INPUT_BYTES
from agentic_core.lifecycle import Phase
from hack.cluster.endpoints import find_free_ports
from tests.faults.bed import API_VERSION, Bed, until
from tests.support.apiclient import ApiError, Json, definitions_path, sessions_path

PROMPT_SECONDS = 15


async def _condition(bed: Bed, definition: str, type_: str) -> Json:
    async def find() -> Json | None:
        found = await bed.client.get(definitions_path(bed.namespace, definition))
        conditions: list[Json] = (found.get("status") or {}).get("conditions") or []
        return next((each for each in conditions if each["type"] == type_ and each["status"] != "Unknown"), None)

    condition: Json = await until(find, what=f"{type_} of {definition}", seconds=PROMPT_SECONDS)
    return condition


async def _assert_prompt(bed: Bed) -> None:
    """The operator still takes a session and it ends in time."""
    name = f"after-{time.monotonic_ns()}"
    await bed.start("quick", name, inputs={"seconds": 0})
    await bed.wait_phase(name, Phase.COMPLETED, seconds=PROMPT_SECONDS)


def _inputs_of(size: int) -> Json:
    """Return inputs whose compact JSON has exactly this many bytes."""
    empty = len(json.dumps({"done": [""]}, separators=(",", ":")))
    return {"done": ["x" * (size - empty)]}


async def test_large_inputs_run_up_to_the_limit_and_are_refused_above(bed: Bed) -> None:
    await bed.operator()
    await bed.define("quick")
    await bed.start("quick", "limit", inputs=_inputs_of(MAX_INPUT_BYTES))
    await bed.start("quick", "above", inputs=_inputs_of(MAX_INPUT_BYTES + 1))
    status = await bed.wait_phase("above", Phase.FAILED, seconds=PROMPT_SECONDS)
    assert status["reason"] == "InvalidInput"
    assert "/spec/inputs" in status["message"]
    assert "262,144" in status["message"]
    status = await bed.wait_phase("limit", Phase.COMPLETED, seconds=PROMPT_SECONDS)
    assert status["resultRef"]["size"] > MAX_INPUT_BYTES
    assert "result" not in status
    for size in (1_000_000, 4_000_000):
        with pytest.raises(ApiError) as refused:
            await bed.start("quick", "huge", inputs=_inputs_of(size))
        assert refused.value.code == 413
    await _assert_prompt(bed)
    await bed.wait_rest()
    await bed.check()
    assert "above" not in {process.session for process in bed.kubelet.processes}


def _nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def _all_of_bomb() -> Json:
    """Return 1.4 KB of schema that is checked 3^20 times."""
    schema: Json = {"type": "string"}
    for level in range(20):
        schema = {"$defs": {f"d{level}": schema}, "allOf": [{"$ref": f"#/$defs/d{level}"}] * 3}
    return schema


def _chain_bomb() -> Json:
    definitions: Json = {"d0": {"type": "string"}}
    for level in range(1, 25):
        definitions[f"d{level}"] = {"allOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 3}
    return {"$defs": definitions, "properties": {"x": {"$ref": "#/$defs/d24"}}}


async def test_schemas_made_to_stall_are_refused_in_time(bed: Bed) -> None:
    await bed.operator()
    await bed.define("quick")
    bombs: dict[str, tuple[Json, Json]] = {
        "pattern": ({"properties": {"x": {"pattern": "^(a+)+$"}}}, {"x": "a" * 40 + "!"}),
        "pattern-keys": ({"patternProperties": {"^(a|a?)+$": {}}, "additionalProperties": False}, {"a" * 40 + "!": 1}),
        "chain": (_chain_bomb(), {"x": 1}),
        "all-of": (_all_of_bomb(), {"x": 1}),
        "cycle": ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, {"x": 1}),
        "unique": ({"properties": {"x": {"uniqueItems": True}}}, {"x": [{"n": n} for n in range(8000)] + [1, 1]}),
        "big-number": ({"properties": {"x": {"multipleOf": 1e-300}}}, {"x": 1e300}),
        "many-properties": ({"properties": {f"p{number}": {"type": "string"} for number in range(10_000)}}, {"x": 1}),
        "deep": ({"properties": {"x": {"const": _nested(400)}}}, {"x": 1}),
    }
    began = time.monotonic()
    for name, (schema, _) in bombs.items():
        await bed.define("quick", name=name, inputSchema=schema, is_awaited=False)
    verdicts: dict[str, str] = {}
    for name, (_, inputs) in bombs.items():
        condition = await _condition(bed, name, "SchemaValid")
        verdicts[name] = f"{condition['status']}: {condition['message'][:100]}"
        await bed.start(name, name, inputs=inputs)
    for name in bombs:
        await until(lambda name=name: bed.phase(name) in (Phase.FAILED, Phase.COMPLETED), what=name)  # type: ignore[misc]  # it is a function
        status = await bed.status(name)
        verdicts[name] += f" | {status['phase']} {status['reason']}: {(status.get('message') or '')[:100]}"
    print("\n".join(f"{name}: {verdict}" for name, verdict in verdicts.items()))
    print(f"all within {time.monotonic() - began:.1f} s")
    # 1e300 is a multiple of 1e-300.
    assert {bed.phase(name) for name in bombs if name != "big-number"} == {Phase.FAILED}
    assert verdicts["many-properties"].startswith("False")
    await _assert_prompt(bed)
    await bed.wait_rest()
    await bed.check()


EDGES = {
    "beyond-a-double": b'{"seconds": 1e400}',
    "not-a-number": b'{"seconds": NaN}',
    "lone-surrogate": b'{"done": ["\\ud800"]}',
    "zero-character": b'{"done": ["a\\u0000b"]}',
    "key-twice": b'{"seconds": 0, "seconds": 0}',
    "long-integer": b'{"count": ' + b"9" * 400 + b"}",
    "deep": b'{"done": [' + b"[" * 900 + b"1" + b"]" * 900 + b"]}",
    "no-text": b'{"done": ["\xff\xfe"]}',
}


async def test_json_on_the_edge_is_refused_or_runs(bed: Bed) -> None:
    await bed.operator()
    await bed.define("quick")
    taken: list[str] = []
    for name, raw in EDGES.items():
        head = {"apiVersion": API_VERSION, "kind": "AgenticSession", "metadata": {"name": name}}
        body = json.dumps({**head, "spec": {"workflowRef": {"name": "quick"}, "inputs": "INPUTS"}}).encode()
        try:
            await bed.client.request("POST", sessions_path(bed.namespace), body.replace(b'"INPUTS"', raw))
        except ApiError as error:
            print(f"{name}: refused by the API server with {error.code}")
            assert error.code in (400, 413, 422), error  # noqa: PT017 - the code is what matters
        else:
            taken.append(name)
    for name in taken:
        await until(lambda name=name: bed.phase(name) in (Phase.FAILED, Phase.COMPLETED), what=name)  # type: ignore[misc]  # it is a function
        status = await bed.status(name)
        print(f"{name}: {status['phase']} {status['reason']} {status.get('message')}")
        assert status["phase"] == Phase.COMPLETED or status["reason"] == "InvalidInput"
    await _assert_prompt(bed)
    await bed.wait_rest()
    await bed.check()


@contextlib.asynccontextmanager
async def _open_canary(hits: list[str]) -> AsyncIterator[str]:
    async def note(request: web.BaseRequest) -> web.Response:
        hits.append(request.path)
        return web.json_response({"type": "string"})

    runner = web.ServerRunner(web.Server(note, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    (port,) = find_free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_no_schema_makes_anybody_fetch_anything(bed: Bed) -> None:
    hits: list[str] = []
    async with _open_canary(hits) as url:
        await bed.operator()
        await bed.define("quick")
        schemas: dict[str, Json] = {
            "ref": {"properties": {"x": {"$ref": f"{url}/ref.json"}}},
            "ref-fragment": {"$ref": f"{url}/ref.json#/properties/x"},
            "dynamic": {"$dynamicRef": f"{url}/dynamic.json"},
            "meta": {"$schema": f"{url}/meta.json", "type": "object"},
            "base": {"$id": f"{url}/base/", "properties": {"x": {"$ref": "other.json"}}},
            "hidden": {"$defs": {"a": {"$id": f"{url}/a", "$ref": "b"}}, "$ref": "#/$defs/a"},
            "file": {"$ref": "file:///etc/passwd"},
        }
        for name, schema in schemas.items():
            await bed.define("quick", name=name, inputSchema=schema, is_awaited=False)
        for name in schemas:
            condition = await _condition(bed, name, "SchemaValid")
            print(f"{name}: {condition['status']} {condition['message'][:140]}")
            await bed.start(name, name, inputs={"x": {"$ref": f"{url}/inputs.json"}})
        for name in schemas:
            await until(lambda name=name: bed.phase(name) in (Phase.FAILED, Phase.COMPLETED), what=name)  # type: ignore[misc]  # it is a function
        for name in ("ref", "ref-fragment", "dynamic", "base", "hidden", "file"):
            assert (await _condition(bed, name, "SchemaValid"))["status"] == "False", name
            assert bed.phase(name) is Phase.FAILED, name
        await _assert_prompt(bed)
    await asyncio.sleep(0)
    assert hits == []
