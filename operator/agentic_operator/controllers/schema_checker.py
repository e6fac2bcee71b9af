"""The interface through which controllers check schemas and values."""

from typing import Any, Protocol, TypeAlias

from agentic_core.errors import Problem
from agentic_core.input_rules import InputRules
from agentic_core.schema import judging


class Fault(Protocol):
    """One fault, with a JSON pointer into the document that was checked."""

    @property
    def pointer(self) -> str: ...

    @property
    def message(self) -> str: ...


Checker: TypeAlias = judging.Checker[Fault]


async def find_input_problems(checker: Checker, rules: InputRules, inputs: Any) -> tuple[Problem, ...]:
    """Return why the inputs of a session are refused."""
    return tuple(Problem(each.pointer, each.message) for each in await judging.judge_inputs(checker, rules, inputs))
