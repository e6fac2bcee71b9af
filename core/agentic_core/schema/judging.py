"""By what rules inputs are judged, whoever asks: the operator before a run, the gateway before a session is created."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from agentic_core.input_rules import InputRules, complete_inputs

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Checker(Protocol[T_co]):
    """Checks schemas and inputs without ever blocking for long; raises ``TransientError`` where it cannot."""

    async def check_schema(self, schema: object) -> Sequence[T_co]:
        """Return why a schema is refused."""
        ...

    async def check_instance(self, schema: object, instance: object) -> Sequence[T_co]:
        """Return what is wrong with an input."""
        ...


async def judge_inputs(checker: Checker[T], rules: InputRules, inputs: Any) -> Sequence[T]:
    """Return what is wrong with the inputs of a session.

    What no part can store is refused whatever the schema. Absent inputs are judged as the empty object that the graph
    gets, or as null where the schema's type names that. A derived schema that cannot be used refuses nothing.
    """
    schema: Mapping[str, Any] | bool = rules.judging if rules.judging is not None else True
    faults = await checker.check_instance(schema, complete_inputs(inputs))
    if faults and inputs is None and _names_null(schema) and not await checker.check_instance(schema, None):
        return ()
    if faults and not rules.is_declared and await checker.check_schema(schema):
        return await checker.check_instance(True, complete_inputs(inputs))
    return faults


def _names_null(schema: Mapping[str, Any] | bool) -> bool:
    types = schema.get("type") if isinstance(schema, Mapping) else None
    return types == "null" or (isinstance(types, list) and "null" in types)
