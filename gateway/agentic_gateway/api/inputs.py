"""Inputs, config and context are judged as the operator judges them, before anything is created."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from agentic_core.errors import Problem
from agentic_core.input_rules import read_rules
from agentic_core.resources.graph_config import GraphConfig
from agentic_core.run_settings import find_context_problems, find_settings_problems, merge_settings
from agentic_core.schema.judging import judge_inputs
from agentic_core.schema.problems import SchemaProblem
from agentic_core.schema.sandbox import SchemaChecker
from agentic_gateway.problems import FieldProblem


async def find_input_problems(
    checker: SchemaChecker, definition: Mapping[str, Any], inputs: Any, *, at: str = ""
) -> tuple[FieldProblem, ...]:
    """Return why a definition (as the API server has it) refuses these inputs; ``at`` is their pointer in the body.

    Raises ``TransientError`` if the checks cannot run.
    """
    spec, status = definition.get("spec") or {}, definition.get("status") or {}
    rules = read_rules(spec.get("inputSchema"), status.get("inputSchema"))
    return tuple(_place(each, at) for each in await judge_inputs(checker, rules, inputs))


def find_settings_refusals(
    definition: Mapping[str, Any], session: Mapping[str, Any], *, at: str
) -> tuple[FieldProblem, ...]:
    """Return why a session with this spec would be refused for its config or context; ``at`` is the spec's pointer.

    What has not the shape of a config is left to the API server, which names the field.
    """
    spec, status = definition.get("spec") or {}, definition.get("status") or {}
    defaults, context = spec.get("defaults") or {}, session.get("context")
    try:
        own, said = (GraphConfig.model_validate(each.get("config") or {}) for each in (session, defaults))
    except ValidationError:
        return ()
    if not isinstance(context, Mapping | None):
        return ()
    problems = find_settings_problems(own, context, "/spec")
    if not problems and session["workflowRef"].get("graph") in (None, spec.get("graph")):
        merged = merge_settings(said, defaults.get("context"), own, context)
        problems = find_context_problems(status.get("contextSchema"), merged)
    return tuple(_move(each, at) for each in sorted(problems, key=lambda each: each.pointer))


def _move(problem: Problem, at: str) -> FieldProblem:
    return FieldProblem(pointer=at + problem.pointer.removeprefix("/spec"), message=problem.message)


def _place(problem: SchemaProblem, at: str) -> FieldProblem:
    return FieldProblem(pointer=at + problem.pointer, message=problem.message, keyword=problem.keyword)
