"""LangGraph's long-term store, as a graph of one project sees it.

A graph chooses the namespaces of its items, and would share them with every other project of the database. Here each of
them is kept below a label of the project; row-level security lets the project's role write nowhere else. The graph
does not notice: it gives and gets namespaces without the label.
"""

from collections.abc import Iterable
from typing import Any

from langgraph.store.base import GetOp, Item, ListNamespacesOp, MatchCondition, Op, PutOp, Result, SearchOp
from langgraph.store.postgres.aio import AsyncPostgresStore


class ProjectStore(AsyncPostgresStore):
    """LangGraph's own store below one label; every operation of it comes through ``abatch``."""

    def __init__(self, connections: Any, *, label: str) -> None:
        super().__init__(connections)
        self._label = label

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do the operations with the label in front of their namespaces, and take it off the results."""
        return [self._without_label(result) for result in await super().abatch([self._with_label(op) for op in ops])]

    def _with_label(self, op: Op) -> Op:
        match op:
            case GetOp() | PutOp():
                return op._replace(namespace=(self._label, *op.namespace))
            case SearchOp():
                return op._replace(namespace_prefix=(self._label, *op.namespace_prefix))
            case ListNamespacesOp():
                conditions = [
                    condition
                    if condition.match_type == "suffix"
                    else MatchCondition("prefix", (self._label, *condition.path))
                    for condition in op.match_conditions or ()
                ]
                return op._replace(
                    match_conditions=(MatchCondition("prefix", (self._label,)), *conditions),
                    max_depth=None if op.max_depth is None else op.max_depth + 1,
                )

    def _without_label(self, result: Result) -> Result:
        if isinstance(result, list):
            # LangGraph matches the beginning of a text: `project-a` is also that of the label `project-a-b`.
            own: Any = [
                part[1:] if isinstance(part, tuple) else self._without_label(part)
                for part in result
                if (part if isinstance(part, tuple) else part.namespace)[0] == self._label
            ]
            return own  # type: ignore[no-any-return]  # one kind a list
        if isinstance(result, Item):
            result.namespace = result.namespace[1:]
        return result
