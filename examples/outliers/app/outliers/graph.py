"""The workflow: load → validate → find outliers → (ask) → remove or flag them → aggregate → write a report.

An ordinary LangGraph project: nothing here knows where it runs. Two things make it pleasant to watch: the stream
writer reports progress, and files go to the folder that ``WORKSPACE_DIR`` names.
"""

import asyncio
import os
from pathlib import Path
from typing import Any, Literal

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from outliers.data import DATASETS, read_rows
from outliers.report import build_report, summarize_groups
from outliers.statistics import compute_bounds


class Inputs(TypedDict, total=False):
    """What a session may choose; the input schema of the definition says the same with limits."""

    dataset: str
    method: Literal["iqr", "zscore"]
    threshold: float
    action: Literal["remove", "flag"]
    ask: bool
    pace_seconds: float


class Row(TypedDict):
    """One valid record."""

    label: str
    group: str
    values: dict[str, float]


class Outlier(TypedDict):
    """One value outside the bounds of its column."""

    row: int
    label: str
    column: str
    value: float
    low: float
    high: float


class Decision(TypedDict, total=False):
    """What a person decided about the outliers."""

    decision: Literal["approve", "flag", "keep"]
    reason: str


class State(Inputs, total=False):
    """What the nodes hand on, and what every checkpoint holds."""

    raw: list[dict[str, Any]]
    rows: list[Row]
    rejected: list[str]
    outliers: list[Outlier]
    approval: Decision
    groups: list[dict[str, Any]]
    summary: dict[str, Any]


class Output(TypedDict):
    """The result of the session."""

    summary: dict[str, Any]


async def load(state: State) -> State:
    """Read the data set."""
    name = state.get("dataset", "seattle-weather")
    raw = read_rows(DATASETS[name])
    await _report(state, 0.1, f"{len(raw)} rows of {name}")
    return {"raw": raw}


async def validate(state: State) -> State:
    """Keep the records whose numbers are numbers; return why the others are left out."""
    dataset = DATASETS[state.get("dataset", "seattle-weather")]
    rows: list[Row] = []
    rejected: list[str] = []
    for position, record in enumerate(state["raw"]):
        try:
            values = {column: float(record[column]) for column in dataset.numbers}
        except (TypeError, ValueError, KeyError):
            missing = [column for column in dataset.numbers if record.get(column) in (None, "")]
            rejected.append(f"row {position} ({record.get(dataset.label)}): no number in {', '.join(missing)}")
            continue
        rows.append({"label": str(record[dataset.label]), "group": str(record[dataset.group]), "values": values})
    await _report(state, 0.25, f"{len(rows)} rows are complete, {len(rejected)} are not")
    # The raw records have served their purpose; without them the following checkpoints stay small.
    return {"raw": [], "rows": rows, "rejected": rejected}


async def find_outliers(state: State) -> State:
    """Compare every value with the bounds of its column."""
    columns = DATASETS[state.get("dataset", "seattle-weather")].numbers
    found: list[Outlier] = []
    for column in columns:
        values = [row["values"][column] for row in state["rows"]]
        low, high = compute_bounds(values, state.get("method", "iqr"), state.get("threshold", 1.5))
        found += [
            {"row": position, "label": row["label"], "column": column, "value": value, "low": low, "high": high}
            for position, row in enumerate(state["rows"])
            if not low <= (value := row["values"][column]) <= high
        ]
    await _report(state, 0.5, f"{len(found)} outliers in {len(columns)} columns")
    return {"outliers": found}


def choose_action(state: State) -> Literal["ask_person", "remove_outliers", "flag_outliers", "aggregate"]:
    """Go where the outliers, if there are any, are dealt with as the session asked."""
    if not state["outliers"]:
        return "aggregate"
    if state.get("action", "remove") == "flag":
        return "flag_outliers"
    return "ask_person" if state.get("ask", False) else "remove_outliers"


async def ask_person(state: State) -> State:
    """Ask whether the rows may go. Nothing stands before the question: it would run again with the answer."""
    doomed = {outlier["row"] for outlier in state["outliers"]}
    answer: Decision = interrupt(
        {
            "prompt": "Approve outlier removal?",
            "options": [
                {"label": "approve", "value": {"decision": "approve"}},
                {"label": "flag", "value": {"decision": "flag"}},
                {"label": "keep", "value": {"decision": "keep"}},
            ],
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "required": ["decision"],
                "properties": {
                    "decision": {
                        "title": "Decision",
                        "description": "Remove the rows, keep them in a group of their own, or keep them as they are.",
                        "enum": ["approve", "flag", "keep"],
                    },
                    "reason": {"title": "Reason", "type": "string", "maxLength": 500},
                },
            },
            "outliers": len(state["outliers"]),
            "rows": len(doomed),
            "examples": state["outliers"][:5],
        }
    )
    return {"approval": answer}


def follow_decision(state: State) -> Literal["remove_outliers", "flag_outliers", "aggregate"]:
    """Go where the person's decision is carried out."""
    decision = state["approval"]["decision"]
    if decision == "keep":
        return "aggregate"
    return "remove_outliers" if decision == "approve" else "flag_outliers"


async def remove_outliers(state: State) -> State:
    """Leave the rows with an outlier out of what follows."""
    doomed = {outlier["row"] for outlier in state["outliers"]}
    await _report(state, 0.65, f"{len(doomed)} rows removed")
    return {"rows": [row for position, row in enumerate(state["rows"]) if position not in doomed]}


async def flag_outliers(state: State) -> State:
    """Keep all rows, and put those with an outlier into a group of their own."""
    flagged = {outlier["row"] for outlier in state["outliers"]}
    await _report(state, 0.65, f"{len(flagged)} rows flagged")
    return {
        "rows": [
            {**row, "group": f"{row['group']} (outlier)"} if position in flagged else row
            for position, row in enumerate(state["rows"])
        ]
    }


async def aggregate(state: State) -> State:
    """Summarize the rows by group."""
    groups = summarize_groups(state["rows"])
    await _report(state, 0.8, f"{len(groups)} groups")
    return {"groups": groups}


async def write_report(state: State) -> State:
    """Write the report into the workspace, and the summary into the result."""
    folder = Path(os.environ.get("WORKSPACE_DIR", "."))
    file = folder / "report.md"
    file.write_text(build_report(dict(state)), encoding="utf-8")
    await _report(state, 1.0, f"report in {file.name}")
    return {
        "summary": {
            "dataset": state.get("dataset", "seattle-weather"),
            "method": state.get("method", "iqr"),
            "threshold": state.get("threshold", 1.5),
            "action": _describe_action(state),
            "rows": len(state["rows"]),
            "rejected": len(state["rejected"]),
            "outliers": len(state["outliers"]),
            "groups": state["groups"],
            "report": file.name,
            **({"approval": state["approval"]} if "approval" in state else {}),
        }
    }


def _describe_action(state: State) -> str:
    if not state["outliers"]:
        return "none"
    if "approval" in state:
        return {"approve": "remove", "flag": "flag", "keep": "none"}[state["approval"]["decision"]]
    return state.get("action", "remove")


async def _report(state: State, progress: float, message: str) -> None:
    get_stream_writer()({"progress": progress, "message": message})
    await asyncio.sleep(state.get("pace_seconds", 0))


builder = StateGraph(State, input_schema=Inputs, output_schema=Output)
builder.add_node(load)
builder.add_node(validate)
builder.add_node(find_outliers)
builder.add_node(ask_person)
builder.add_node(remove_outliers)
builder.add_node(flag_outliers)
builder.add_node(aggregate)
builder.add_node(write_report)
builder.add_edge(START, "load")
builder.add_edge("load", "validate")
builder.add_edge("validate", "find_outliers")
builder.add_conditional_edges("find_outliers", choose_action)
builder.add_conditional_edges("ask_person", follow_decision)
builder.add_edge("remove_outliers", "aggregate")
builder.add_edge("flag_outliers", "aggregate")
builder.add_edge("aggregate", "write_report")
builder.add_edge("write_report", END)

graph = builder.compile(name="outliers")
