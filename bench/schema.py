"""CPU per schema check, beside the bare call of the engine in this process.

``python -m bench.schema`` prints, for ordinary and for the worst inputs, p50 and p99 of the CPU time of a whole check
(writing the text, the round trip, the check itself) and its ratio to the engine alone on a compiled schema, where
the engine alone ends in reasonable time at all.
"""

import asyncio
import gc
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jsonschema_rs

from agentic_core.schema.sandbox import SchemaChecker

FORM = {
    "type": "object",
    "required": ["dataset", "threshold"],
    "additionalProperties": False,
    "properties": {
        "dataset": {"type": "string", "pattern": "^[a-z-]{1,63}$"},
        "threshold": {"type": "number", "minimum": 0, "maximum": 10},
        "method": {"enum": ["iqr", "zscore"], "default": "iqr"},
        "columns": {"type": "array", "items": {"$ref": "#/$defs/column"}, "maxItems": 100},
        "note": {"anyOf": [{"type": "string", "maxLength": 500}, {"type": "null"}]},
    },
    "$defs": {"column": {"type": "object", "properties": {"name": {"type": "string"}, "weight": {"type": "number"}}}},
}
FILLED = {"dataset": "seattle-weather", "threshold": 1.5, "columns": [{"name": "wind", "weight": 1}], "note": None}
ROWS = {"type": "array", "items": {"type": "object", "required": ["id"], "properties": {"name": {"type": "string"}}}}
LARGE = [{"id": number, "name": f"row {number}"} for number in range(8_000)]
WIDE = {"properties": {f"property{number}": {"type": "string"} for number in range(1_500)}}

CASES: dict[str, tuple[Any, Any, int]] = {
    "a form of five fields": (FORM, FILLED, 2_000),
    "the same with a fault": (FORM, {**FILLED, "threshold": 11}, 2_000),
    "250 KiB of rows": (ROWS, LARGE, 100),
    "1,500 properties, 60 KiB of schema": (WIDE, {"property7": "x"}, 200),
    "8,000 rows, each with a fault": ({"items": {"required": ["other"]}}, LARGE, 50),
}
BOMBS: dict[str, tuple[Any, Any]] = {
    "references that double at each level": (
        {"$defs": {"a": {"items": {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}}, "$ref": "#/$defs/a"},
        json.loads("[" * 62 + "]" * 62),
    ),
    "2,000 large patterns": ({"allOf": [{"pattern": rf"\w{{100}}[a{n}]"} for n in range(2_000)]}, "a" * 250_000),
    "a large enum of objects": (
        {"items": {"enum": [{"a": 1, "b": n} for n in range(1, 3_500)]}},
        [{"a": 1, "b": -n} for n in range(12_000)],
    ),
    "a pattern that backtracks": ({"pattern": "^(a+)+$"}, "a" * 250_000 + "!"),
}


def percentiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1000:7.3f} ms   p99 {p99 * 1000:7.3f} ms"


def measure(call: Callable[[], object], times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return seconds


def build_bare_call(schema: Any, instance: Any) -> Callable[[], object]:
    validator = jsonschema_rs.Draft202012Validator(
        schema, pattern_options=jsonschema_rs.RegexOptions(), validate_formats=False, offline=True
    )
    return lambda: next(validator.iter_errors(instance), None)


async def measure_checks(checker: SchemaChecker, used: list[float], case: tuple[Any, Any], times: int) -> list[float]:
    """Return the CPU seconds of each check, of this process and of the checking one together."""
    schema, instance = case
    await checker.check_instance(schema, instance)
    seconds = []
    for _ in range(times):
        used.clear()
        began = time.process_time()
        await checker.check_instance(schema, instance)
        seconds.append(time.process_time() - began + used[0])
    return seconds


async def run() -> None:
    gc.disable()
    used: list[float] = []
    async with SchemaChecker(workers=1, on_checked=used.append) as checker:
        for name, (schema, instance, times) in CASES.items():
            checks = await measure_checks(checker, used, (schema, instance), times)
            bare = measure(build_bare_call(schema, instance), times)
            ratio = statistics.median(checks) / statistics.median(bare)
            print(f"{name:38} {percentiles(checks)}   {ratio:7.1f}x of the engine alone")
        for name, case in BOMBS.items():
            print(f"{name:38} {percentiles(await measure_checks(checker, used, case, 30))}")
        began = time.perf_counter()
        await asyncio.gather(*(checker.check_instance(FORM, FILLED) for _ in range(1_000)))
        elapsed = time.perf_counter() - began
        print(f"{'a burst of 1,000 forms':38} {1_000 / elapsed:,.0f} a second, {elapsed:.3f} ms each")


if __name__ == "__main__":
    asyncio.run(run())
