"""The outlier example, run in this process."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentic_core.questions import read_question
from agentic_core.schema.schema import check_instance
from tests.support.examples import load_example


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    monkeypatch.setenv("WORKSPACE_DIR", str(tmp_path))
    with load_example("outliers") as module:
        yield module


async def run(example: ModuleType, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[str], list[dict[str, Any]]]:
    """Return the result, the nodes in the order they ran, and what was reported on the way."""
    graph = example.builder.compile(checkpointer=InMemorySaver())
    nodes: list[str] = []
    reports: list[dict[str, Any]] = []
    config = {"configurable": {"thread_id": "1"}}
    async for mode, part in graph.astream(inputs, config, stream_mode=["updates", "custom"], durability="sync"):
        if mode == "custom":
            reports.append(part)
        else:
            nodes += part
    state = await graph.aget_state(config)
    return state.values["summary"], nodes, reports


@pytest.mark.parametrize(
    ("inputs", "nodes", "expected"),
    [
        pytest.param(
            {},
            ["load", "validate", "find_outliers", "remove_outliers", "aggregate", "write_report"],
            {"dataset": "seattle-weather", "rows": 1233, "rejected": 0, "outliers": 240, "action": "remove"},
            id="removed, as by default",
        ),
        pytest.param(
            {"dataset": "cars", "method": "zscore", "threshold": 3, "action": "flag"},
            ["load", "validate", "find_outliers", "flag_outliers", "aggregate", "write_report"],
            {"dataset": "cars", "rows": 392, "rejected": 14, "outliers": 7, "action": "flag"},
            id="flagged, with incomplete rows",
        ),
        pytest.param(
            {"dataset": "cars", "threshold": 10},
            ["load", "validate", "find_outliers", "aggregate", "write_report"],
            {"dataset": "cars", "rows": 392, "rejected": 14, "outliers": 0, "action": "none"},
            id="none found",
        ),
    ],
)
async def test_takes_the_path_that_the_data_and_the_inputs_ask_for(
    example: ModuleType, tmp_path: Path, inputs: dict[str, Any], nodes: list[str], expected: dict[str, Any]
) -> None:
    summary, visited, reports = await run(example, inputs)
    assert visited == nodes
    assert summary.items() >= expected.items()
    assert sum(group["rows"] for group in summary["groups"]) == expected["rows"]
    progress = [report["progress"] for report in reports]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert all(isinstance(report["message"], str) for report in reports)
    report = (tmp_path / summary["report"]).read_text()
    assert f"{expected['outliers']} outliers" in report


async def test_result_holds_the_summary_alone(example: ModuleType) -> None:
    assert set(await example.graph.ainvoke({"dataset": "cars"})) == {"summary"}


def test_bounds(example: ModuleType) -> None:
    compute_bounds = example.compute_bounds
    assert compute_bounds([1.0, 2.0, 3.0, 4.0, 5.0], "iqr", 1.5) == (-1.0, 7.0)
    assert compute_bounds([2.0, 4.0], "zscore", 3) == (0.0, 6.0)
    assert compute_bounds([2.0], "iqr", 1.5) == (2.0, 2.0)
    assert compute_bounds([], "zscore", 1.5) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("answer", "action", "rows"),
    [
        ({"decision": "approve", "reason": "noise"}, "remove", 1233),
        ({"decision": "flag"}, "flag", 1461),
        ({"decision": "keep"}, "none", 1461),
    ],
)
async def test_asks_before_it_removes_and_does_what_the_person_says(
    example: ModuleType, answer: dict[str, Any], action: str, rows: int
) -> None:
    graph = example.builder.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    await graph.ainvoke({"ask": True}, config)
    (asked,) = (await graph.aget_state(config)).interrupts
    question = read_question(asked.value)
    assert question.prompt == "Approve outlier removal?"
    assert {"decision": answer["decision"]} in [option.value for option in question.options]
    assert check_instance(question.schema, answer) == ()
    assert check_instance(question.schema, {"decision": "perhaps"})
    summary = (await graph.ainvoke(Command(resume={asked.id: answer}), config))["summary"]
    assert (summary["action"], summary["rows"], summary["approval"]) == (action, rows, answer)
