from typing import Any

from gate import wait_here
from langgraph.func import entrypoint, task


@task
def first() -> str:
    return "first"


@task
def second() -> str:
    wait_here()
    return "second"


@entrypoint()
def graph(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"steps": [first().result(), second().result()]}
