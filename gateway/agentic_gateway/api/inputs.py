"""Inputs, config and context are judged as the operator judges them, before anything is created."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from agentic_core.errors import Problem
from agentic_core.input_rules import read_rules
from agentic_core.resources.graph_config import GraphConfig
from agentic_core.run_settings import RunSettings, add_settings, find_context_problems, find_settings_problems
from agentic_core.schema.judging import judge_inputs
from agentic_core.schema.problems import SchemaProblem
from agentic_core.schema.sandbox import SchemaChecker
from agentic_gateway.problems import FieldProblem


async def find_input_problems(
    checker: SchemaChecker, definition: Mapping[str, Any], inputs: Any, *, at: str = "", graph: str | None = None
) -> tuple[FieldProblem, ...]:
    """Return why a definition (as the API server has it) refuses these inputs; ``at`` is their pointer in the body.

    ``graph`` is the one that the session names, None for the definition's own. Raises ``TransientError`` if the checks
    cannot run.
    """
    spec, status = definition.get("spec") or {}, definition.get("status") or {}
    derived = status.get("inputSchema") if _is_inspected(definition, graph) else None
    rules = read_rules(spec.get("inputSchema"), derived)
    return tuple(_place(each, at) for each in await judge_inputs(checker, rules, inputs))


def find_settings_refusals(
    definition: Mapping[str, Any], session: Mapping[str, Any], *, at: str
) -> tuple[FieldProblem, ...]:
    """Return why a session with this spec would be refused for its config or context; ``at`` is the spec's pointer.

    What has not the shape of a config is left to the API server, which names the field.
    """
    defaults = (definition.get("spec") or {}).get("defaults") or {}
    return _judge_settings(definition, session["workflowRef"].get("graph"), (defaults, session), at)


async def find_turn_problems(
    checker: SchemaChecker, definition: Mapping[str, Any], session: Mapping[str, Any], turn: Mapping[str, Any]
) -> tuple[FieldProblem, ...]:
    """Return why a turn of a conversation would be refused for its input, config or context; pointers are the turn's.

    Raises ``TransientError`` if the checks cannot run.
    """
    found = _find_turn_settings(definition, session, turn)
    if "input" in turn and turn.get("command") is None:
        graph = session["spec"]["workflowRef"].get("graph")
        found = (*await find_input_problems(checker, definition, turn["input"], at="/input", graph=graph), *found)
    return found


def _find_turn_settings(
    definition: Mapping[str, Any], session: Mapping[str, Any], turn: Mapping[str, Any]
) -> tuple[FieldProblem, ...]:
    spec = session["spec"]
    pinned = (session.get("status") or {}).get("workflow") if spec.get("revision") == "Pinned" else None
    workflow = definition if pinned is None else pinned
    defaults = (workflow.get("spec") or {}).get("defaults") or {}
    return _judge_settings(definition, spec["workflowRef"].get("graph"), (defaults, spec, turn), "")


def _judge_settings(
    definition: Mapping[str, Any], graph: str | None, layers: Sequence[Mapping[str, Any]], at: str
) -> tuple[FieldProblem, ...]:
    """Return why the last layer's config or context is refused, over those of the layers before it."""
    context = layers[-1].get("context")
    try:
        configs = [GraphConfig.model_validate(each.get("config") or {}) for each in layers]
    except ValidationError:
        return ()
    if not isinstance(context, Mapping | None):
        return ()
    problems = find_settings_problems(configs[-1], context, "/spec")
    if not problems and _is_inspected(definition, graph):
        merged = RunSettings()
        for config, layer in zip(configs, layers, strict=True):
            merged = add_settings(merged, config, layer.get("context"))
        problems = find_context_problems((definition.get("status") or {}).get("contextSchema"), merged)
    return tuple(_move(each, at) for each in sorted(problems, key=lambda each: each.pointer))


def _is_inspected(definition: Mapping[str, Any], graph: str | None) -> bool:
    """Return whether a session that names this graph runs the one that was inspected."""
    return graph in (None, (definition.get("spec") or {}).get("graph"))


def _move(problem: Problem, at: str) -> FieldProblem:
    return FieldProblem(pointer=at + problem.pointer.removeprefix("/spec"), message=problem.message)


def _place(problem: SchemaProblem, at: str) -> FieldProblem:
    return FieldProblem(pointer=at + problem.pointer, message=problem.message, keyword=problem.keyword)
