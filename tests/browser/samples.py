"""Definitions and sessions as an organisation would have them, for tests that look at lists."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.builders import wire_time
from tests.support.kube import Space

Json = dict[str, Any]
GRAPH: Json = {
    "nodes": ["__start__", "load", "analyse", "review", "publish", "__end__"],
    "edges": [
        "__start__ -> load",
        "load -> analyse",
        "analyse -> review",
        "review -> publish",
        "review -> analyse",
        "publish -> __end__",
    ],
    "mermaid": "graph TD;",
}
SCHEMA: Json = {
    "type": "object",
    "required": ["file_path"],
    "properties": {
        "file_path": {"type": "string", "title": "File", "description": "A CSV file in the workspace."},
        "threshold": {"type": "number", "minimum": 0, "default": 3.5},
    },
}


def question(id_: str, prompt: str, *, minutes_ago: int = 5, **more: Any) -> Json:
    """Return a question as a runner reports it."""
    return {
        "id": id_,
        "prompt": prompt,
        "askedAt": wire_time(datetime.now(UTC) - timedelta(minutes=minutes_ago)),
        **more,
    }


def ask(space: Space, name: str, *questions: Json, workflow: str = "approval", **spec: Any) -> None:
    """Start a session and have it ask."""
    space.start(name, workflow, **spec)
    space.report(name, phase="Creating", run=1)
    space.report(name, phase="Running", currentNode="review")
    space.report(
        name, phase="WaitingForInput", question=questions[0]["prompt"], interrupts=list(questions), approvals=[]
    )


def define_all(space: Space) -> None:
    """Make three definitions: ready, ready, and one whose graph does not load."""
    space.define(
        "report",
        displayName="River report",
        description="Reads the gauges of a river, finds what is out of line, and writes a report for review.",
        version="2.4.1",
        tags=["water", "reports"],
        inputSchema=SCHEMA,
        status={"graph": GRAPH, "langgraphVersion": "1.2.0", "runnerContract": 2},
    )
    space.define(
        "approval",
        displayName="Payment approval",
        description="Asks two people of the treasury before a payment leaves.",
        version="1.0.0",
        tags=["finance", "approvals"],
    )
    space.define("outliers", description="Finds outliers in a table.", tags=["tables"], is_ready=False)
    made = space.check("outliers", Inspected="GraphLoadFailed", Ready="GraphLoadFailed")
    conditions = made["status"]["conditions"]
    for condition in conditions:
        if condition["status"] == "False":
            condition["message"] = "the graph 'agent' does not load: ModuleNotFoundError: No module named 'pandas'"
    space.check("outliers", status={"conditions": conditions})


def fill_space(space: Space) -> None:
    """Make definitions, and eight sessions in every state that people meet."""
    define_all(space)
    space.start("rivers", displayName="Rivers in spring")
    space.report("rivers", phase="Creating", run=1)
    space.report("rivers", phase="Running", currentNode="analyse", progress="40%", steps=3)
    space.start("lakes", displayName="Lakes, all gauges")
    space.report("lakes", phase="Creating", run=1)
    space.report("lakes", phase="Running", currentNode="load", progress="5%")
    space.start("coast", displayName="Coast, 2025")
    space.report("coast", phase="Creating", run=1)
    space.report("coast", phase="Running")
    space.report("coast", phase="Completed", result={"outliers": 3}, steps=12)
    space.start("glaciers")
    ask(
        space,
        "invoice-4711",
        question("q1", "Approve the payment of €4,200 to Rivers Ltd?"),
        displayName="Invoice 4711",
    )
    space.start("tables-1", "outliers", displayName="Table of Q3")
    space.report("tables-1", phase="Creating", run=1)
    space.report("tables-1", phase="Failed", error={"type": "KeyError", "message": "no column 'amount' in line 1"})
    space.start("support", "approval", displayName="Questions about invoices", mode="Conversation")
    space.report("support", phase="Idle")
    space.start("archive", "approval", displayName="Archive of May")
    space.report("archive", phase="Stopped", message="stopped by alice")
