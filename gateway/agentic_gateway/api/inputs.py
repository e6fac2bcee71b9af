"""Inputs are judged as the operator judges them, before anything is created."""

from collections.abc import Mapping
from typing import Any

from agentic_core.input_rules import read_rules
from agentic_core.schema.judging import judge_inputs
from agentic_core.schema.problems import SchemaProblem
from agentic_core.schema.sandbox import SchemaChecker
from agentic_gateway.problems import FieldProblem


async def find_input_problems(
    checker: SchemaChecker, definition: Mapping[str, Any], inputs: Any, *, at: str = ""
) -> tuple[FieldProblem, ...]:
    """Return why a definition (as the API server has it) refuses these inputs; ``at`` is their pointer in the body.

    Raises ``TransientError`` where the checks cannot run.
    """
    spec, status = definition.get("spec") or {}, definition.get("status") or {}
    rules = read_rules(spec.get("inputSchema"), status.get("inputSchema"))
    return tuple(_place(each, at) for each in await judge_inputs(checker, rules, inputs))


def _place(problem: SchemaProblem, at: str) -> FieldProblem:
    return FieldProblem(pointer=at + problem.pointer, message=problem.message, keyword=problem.keyword)
