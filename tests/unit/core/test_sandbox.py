"""Checks in a process with a CPU limit: bombs are answered in time, and a lost process is replaced."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic_core.schema.sandbox import CheckerUnavailable, SchemaChecker
from agentic_core.schema.schema import check_instance, check_schema
from agentic_core.strict_json import MAX_INSTANCE_BYTES, MAX_SCHEMA_BYTES, encode_json
from tests.support.waiting import wait_for

LIMIT_SECONDS = 0.050
# One timer tick at 100 Hz, the slowest clock that kernels are built with, and what the clocks themselves may be off.
SLACK_SECONDS = 0.015


def nest(levels: int) -> object:
    return json.loads("[" * levels + "]" * levels)


def wrap(keyword: str, levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {keyword: [schema, schema]}
    return schema


TEXTS = ["a" * 60 + str(number) for number in range(3_500)]
OBJECTS = [{"a": 1, "b": -number} for number in range(12_000)]
NAMES = {f"name{number}": number for number in range(13_000)}

BOMBS: dict[str, tuple[object, object]] = {
    "a pattern that backtracks": ({"pattern": "^(a+)+$"}, "a" * 250_000 + "!"),
    "a pattern that backtracks, in a key": ({"patternProperties": {"^(a|a)*$": False}}, {"a" * 250_000 + "!": 1}),
    "alternatives that overlap": ({"pattern": "^(a|aa|aaa|a?)*b$"}, "a" * 250_000),
    "a pattern that explodes": ({"pattern": r"\w{1000}{1000}"}, "a"),
    "many patterns that explode": ({"allOf": [{"pattern": rf"(\p{{L}}{{20}}){{{n}}}"} for n in range(2, 900)]}, "a"),
    "many large patterns": ({"allOf": [{"pattern": rf"\w{{100}}[a{n}]"} for n in range(2_000)]}, "a" * 250_000),
    "many patterns over many names": ({"patternProperties": {f"a{n}.*b": {} for n in range(2_500)}}, NAMES),
    "doubling allOf": (wrap("allOf", 11), "x"),
    "doubling anyOf": (wrap("anyOf", 11), 1),
    "doubling oneOf": (wrap("oneOf", 11), "x"),
    "references that double": (
        {
            "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(60)} | {"a60": {}},
            "$ref": "#/$defs/a0",
        },
        "x",
    ),
    "references that double at every level of the input": (
        {"$defs": {"a": {"items": {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}}, "$ref": "#/$defs/a"},
        nest(62),
    ),
    "dynamic references that double": (
        {
            "$defs": {"a": {"$dynamicAnchor": "a", "items": {"anyOf": [{"$dynamicRef": "#a"}, {"$dynamicRef": "#a"}]}}},
            "$ref": "#/$defs/a",
        },
        [nest(61), "x"],
    ),
    "a long chain of references": (
        {"$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(1_500)} | {"a1500": {}}, "$ref": "#/$defs/a0"},
        nest(63),
    ),
    "a long chain of references down the input": (
        {
            "$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(900)}
            | {"a900": {"items": {"$ref": "#/$defs/a0"}}},
            "$ref": "#/$defs/a0",
        },
        nest(63),
    ),
    "unique items of many large items": ({"uniqueItems": True}, [{"a": [[[0] * 20]], "n": n} for n in range(3_500)]),
    "unique items that are alike": ({"uniqueItems": True}, [[0] * 60 + [n] for n in range(1_800)]),
    "10,000 properties": ({"properties": {f"p{n}": {} for n in range(10_000)}}, NAMES),
    "4,900 properties and names": ({"properties": {f"p{n}": {} for n in range(4_900)}}, NAMES),
    "a large enum of texts": ({"items": {"enum": [text + "x" for text in TEXTS[:900]]}}, TEXTS),
    "a large enum of objects": ({"items": {"enum": [{"a": 1, "b": n} for n in range(1, 3_500)]}}, OBJECTS),
    "every item wrong in many ways": ({"items": {"allOf": [{"required": [f"x{n}"]} for n in range(2_000)]}}, OBJECTS),
    "the whole input wrong in many ways": ({"allOf": [{"type": "string"}] * 3_000}, OBJECTS),
    "every item against many alternatives": ({"items": {"oneOf": [{"const": n} for n in range(4_000)]}}, [-1] * 80_000),
    "a chain of unevaluated properties": (
        json.loads('{"unevaluatedProperties":false,"allOf":[' * 30 + '{"properties":{"a":{}}}' + "]}" * 30),
        NAMES,
    ),
    "unevaluated items beside many contains": (
        {"allOf": [{"contains": {"const": n}, "minContains": 0} for n in range(1_500)], "unevaluatedItems": False},
        list(range(40_000)),
    ),
    "many names that are required": ({"required": [f"r{n}" for n in range(5_500)]}, NAMES),
    "a schema wrong in many ways": ({"properties": {f"p{n}": {"type": "strin"} for n in range(2_000)}}, {}),
    "the deepest input": ({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, [nest(62)] * 2_000),
    "an input that is too deep": ({}, nest(900)),
    "long numbers": ({"items": {"multipleOf": 1e-300}}, [int("9" * 4_000)] * 60),
}


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """Keep the collection of all the tests' own objects out of the time of a check."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def seconds() -> list[float]:
    return []


@pytest.fixture
async def checker(seconds: list[float]) -> AsyncIterator[SchemaChecker]:
    async with SchemaChecker(cpu_seconds=LIMIT_SECONDS, workers=1, on_checked=seconds.append) as checker:
        yield checker


def idle_worker(checker: SchemaChecker) -> int:
    """Return the id of the process that forks, of a checker that is idle."""
    (worker,) = checker._idle
    return worker.process.pid


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


@pytest.mark.parametrize("name", BOMBS)
async def test_answers_a_bomb_within_the_limit(name: str, checker: SchemaChecker, seconds: list[float]) -> None:
    schema, instance = BOMBS[name]
    if "10,000" not in name:
        assert len(encode_json(schema)) <= MAX_SCHEMA_BYTES
    assert len(encode_json(instance)) <= MAX_INSTANCE_BYTES
    first = await checker.check_schema(schema)
    again = [await checker.check_instance(schema, instance) for _ in range(2)]
    assert not seconds or max(seconds) <= LIMIT_SECONDS + SLACK_SECONDS
    assert len(first) <= 20
    assert again[0] == again[1] or any("checking" in str(answer) for answer in again)
    assert await checker.check_instance({"type": "integer"}, 1) == (), "the checker is as good as new"


async def test_a_check_that_takes_too_long_is_refused_with_what_to_do(checker: SchemaChecker) -> None:
    schema, instance = BOMBS["references that double at every level of the input"]
    (problem,) = await checker.check_instance(schema, instance)
    assert problem.pointer == ""
    assert problem.message == ("checking took more than 50 ms of CPU time; simplify the schema or send a smaller input")


async def test_an_input_with_too_many_faults_to_list_is_refused_with_the_first(checker: SchemaChecker) -> None:
    schema = {"items": {"enum": [{"a": 1, "b": number} for number in range(1, 500)]}}
    (problem,) = await checker.check_instance(schema, OBJECTS[:6_000])
    assert (problem.pointer, problem.keyword) == ("/0", "enum")


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        pytest.param({"type": "object", "required": ["a"]}, {"a": 1}, id="valid"),
        pytest.param({"type": "object", "required": ["a"]}, {}, id="a fault"),
        pytest.param({"items": {"type": "string", "maxLength": 2}}, [1, "abc", "ok"], id="many faults"),
        pytest.param({"type": 3}, {}, id="a schema that is refused"),
        pytest.param({"$ref": "http://example.com"}, {}, id="a reference"),
        pytest.param({"title": "x" * 70_000}, {}, id="a schema that is too large"),
        pytest.param({}, "x" * 300_000, id="an input that is too large"),
        pytest.param({}, {"a": ["\ud800"]}, id="a lone surrogate"),
        pytest.param({}, {"a": ["\0"]}, id="a NUL"),
        pytest.param({}, float("nan"), id="NaN"),
        pytest.param({}, {"a": object()}, id="no JSON"),
        pytest.param(3, {}, id="no schema"),
    ],
)
async def test_answers_as_the_check_in_this_process_does(
    schema: object, instance: object, checker: SchemaChecker
) -> None:
    assert await checker.check_schema(schema) == check_schema(schema)
    assert await checker.check_instance(schema, instance) == check_instance(schema, instance)


async def test_a_large_ordinary_input_is_checked_within_the_limit(checker: SchemaChecker) -> None:
    item = {
        "type": "object",
        "required": ["id", "name"],
        "properties": {"id": {"minimum": 0}, "name": {"type": "string"}},
    }
    schema = {"type": "array", "items": {**item, "additionalProperties": False}}
    rows = [{"id": number, "name": f"row {number}"} for number in range(7_500)]
    assert await checker.check_instance(schema, rows) == ()


async def test_many_checks_at_once_all_get_their_own_answer() -> None:
    async with SchemaChecker(workers=3) as checker:
        slow = asyncio.create_task(checker.check_instance(*BOMBS["many patterns over many names"]))
        answers = await asyncio.gather(
            *(checker.check_instance({"const": number % 2}, number % 3) for number in range(300))
        )
        assert [not answer for answer in answers] == [number % 2 == number % 3 for number in range(300)]
        assert await slow


@pytest.mark.parametrize("whom", ["child", "parent", "both"])
async def test_a_process_killed_while_idle_is_replaced(whom: str, checker: SchemaChecker) -> None:
    await checker.check_schema({})
    parent = idle_worker(checker)
    child = child_of(parent)
    for pid in {"child": [child], "parent": [parent], "both": [parent, child]}[whom]:
        os.kill(pid, signal.SIGKILL)
    assert await checker.check_instance({"type": "string"}, 1) != ()
    (problem,) = await checker.check_instance(*BOMBS["many large patterns"])
    assert "50 ms of CPU time" in problem.message
    assert await checker.check_instance({"type": "string"}, "a") == ()


async def test_a_process_that_does_not_answer_is_given_up() -> None:
    async with SchemaChecker(workers=1, patience_seconds=2) as checker:
        await checker.check_schema({})
        os.kill(child_of(idle_worker(checker)), signal.SIGSTOP)
        with pytest.raises(CheckerUnavailable, match=r"no answer within 2 s"):
            await checker.check_schema({})
        assert await checker.check_schema({}) == ()


async def test_a_cancelled_check_leaves_no_answer_to_the_next() -> None:
    async with SchemaChecker(workers=1) as checker:
        await checker.check_schema({})
        for turns in range(6):
            task = asyncio.create_task(checker.check_instance({"type": "string"}, ["x" * 100_000]))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert await checker.check_instance({"type": "integer"}, 1) == ()


async def test_no_process_is_left_after_closing(checker: SchemaChecker) -> None:
    await checker.check_schema({})
    processes = [idle_worker(checker), child_of(idle_worker(checker))]
    await checker.close()
    wait_for(lambda: [pid for pid in processes if is_running(pid)], lambda left: not left, what="the end", every=0.01)


def test_no_process_is_left_when_ours_is_killed() -> None:
    program = (
        "import asyncio, sys\n"
        "from agentic_core.schema.sandbox import SchemaChecker\n"
        "async def main():\n"
        "    checker = SchemaChecker()\n"
        "    await checker.check_schema({})\n"
        "    print(checker._idle[0].process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as ours:
        assert ours.stdout is not None
        parent = int(ours.stdout.readline())
        processes = [parent, child_of(parent)]
        ours.kill()
    wait_for(lambda: [pid for pid in processes if is_running(pid)], lambda left: not left, what="the end", every=0.01)


async def test_the_process_gets_no_secrets_of_ours(checker: SchemaChecker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    await checker.check_schema({})
    process = Path(f"/proc/{idle_worker(checker)}")
    assert b"SECRET_TOKEN" not in read(process / "environ")
    assert len(list_names(process / "fd")) == len(["in", "out", "err", "the channel"])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def read(path: Path) -> bytes:
    return path.read_bytes()


def list_names(path: Path) -> list[str]:
    return [each.name for each in path.iterdir()]
