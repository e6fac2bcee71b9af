"""Interface to the schema checks that controllers ask for."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentic_core.errors import Problem
from agentic_core.input_rules import InputRules, complete_inputs


class Fault(Protocol):
    """One fault, with a JSON pointer into the document that was checked."""

    @property
    def pointer(self) -> str: ...

    @property
    def message(self) -> str: ...


class Checker(Protocol):
    """Checks schemas and inputs without ever blocking for long; raises ``TransientError`` where it cannot."""

    async def check_schema(self, schema: object) -> Sequence[Fault]:
        """Return why a schema is refused."""
        ...

    async def check_instance(self, schema: object, instance: object) -> Sequence[Fault]:
        """Return what is wrong with an input."""
        ...


async def find_input_problems(checker: Checker, rules: InputRules, inputs: Any) -> tuple[Problem, ...]:
    """Return why the inputs of a session are refused.

    What no part can store is refused whatever the schema. Absent inputs are judged as the empty object that the graph
    gets, or as null where the schema's type names that. A derived schema that cannot be used refuses nothing.
    """
    schema: Mapping[str, Any] | bool = rules.judging if rules.judging is not None else True
    faults = await checker.check_instance(schema, complete_inputs(inputs))
    if faults and inputs is None and _names_null(schema) and not await checker.check_instance(schema, None):
        return ()
    if faults and not rules.is_declared and await checker.check_schema(schema):
        faults = await checker.check_instance(True, complete_inputs(inputs))
    return tuple(Problem(fault.pointer, fault.message) for fault in faults)


def _names_null(schema: Mapping[str, Any] | bool) -> bool:
    types = schema.get("type") if isinstance(schema, Mapping) else None
    return types == "null" or (isinstance(types, list) and "null" in types)
