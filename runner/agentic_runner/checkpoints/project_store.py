"""LangGraph's long-term store, limited to one project.

A graph chooses the namespaces of its items, and would share them with every other project of the database. Here each of
them is kept below a label of the project; row-level security lets the project's role write nowhere else. The graph
does not notice: it gives and gets namespaces without the label (decision 18).

A search by meaning that cannot be done is never answered with something else in silence. Where the project asks for an
index that does not work, it is refused with the reason. Where it asks for none, LangGraph's store returns the newest
items, and so does this one, and warns once.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig
from psycopg import DataError

from agentic_core.errors import PermanentError

NO_INDEX: Final = (
    "search(query=…) returned the newest items of its namespace: langgraph.json declares no `store.index`,"
    " so nothing is searched by meaning"
)

Warn = Callable[[str], Awaitable[None]]


def explain_unstorable(ops: Iterable[Op]) -> str | None:
    """Return the item that the database cannot store, and the place in it; None for other errors."""
    for op in ops:
        if isinstance(op, PutOp) and op.value is not None:
            item: dict[str, Any] = {"": [*op.namespace, op.key]}
            for pointer, value in _walk((item, dict(op.value)), ""):
                if (fault := _find_fault(value)) is not None:
                    where = pointer.removeprefix("/1") if pointer.startswith("/1") else "its name"
                    return (
                        f"the item {op.key!r} of {op.namespace!r} cannot be stored: {where or '/'} has {fault}, which"
                        " PostgreSQL's JSON does not take: leave it out, or store its repr()"
                    )
    return None


def _walk(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    yield pointer, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield pointer, key
            yield from _walk(item, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(item, f"{pointer}/{index}")


def _find_fault(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"the number {value!r}"
    if isinstance(value, str) and "\0" in value:
        return "the character U+0000"
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return "half of a surrogate pair"
    return None


class ProjectStore(AsyncPostgresStore):
    """LangGraph's own store below one label; every operation of it comes through ``abatch``."""

    def __init__(
        self,
        connections: Any,
        *,
        label: str,
        index: PostgresIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        obstacle: str | None = None,
        warn: Warn | None = None,
    ) -> None:
        """``obstacle`` is why the index that the project asks for does not work; ``warn`` is called with a warning."""
        super().__init__(connections, index=index, ttl=ttl)
        self._label = label
        self._obstacle = obstacle
        self._warn = warn
        self._warned: set[str] = set()

    async def asearch(self, namespace_prefix: tuple[str, ...], /, **given: Any) -> Any:
        """Do as LangGraph's; a query that cannot be answered is refused before others wait in one batch with it."""
        self._refuse_query(given.get("query"))
        return await super().asearch(namespace_prefix, **given)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do the operations with the label in front of their namespaces, and take it off the results."""
        wanted = list(ops)
        for op in wanted:
            validate_op_namespace(op)
            if isinstance(op, SearchOp):
                self._refuse_query(op.query)
        try:
            results = await super().abatch([self._with_label(op) for op in wanted])
        except DataError as error:
            if (said := explain_unstorable(wanted)) is None:
                raise
            raise PermanentError(said) from error
        await self._warn_of(wanted)
        return [self._without_label(result) for result in results]

    def _refuse_query(self, query: str | None) -> None:
        if query and self._obstacle is not None:
            raise PermanentError(f"the long-term store cannot be searched by meaning: {self._obstacle}")

    async def _warn_of(self, ops: list[Op]) -> None:
        """Warn once of a setting that does not work as its author may expect."""
        if self.index_config is not None:
            return
        if any(isinstance(op, SearchOp) and op.query for op in ops):
            await self._warn_once(NO_INDEX)
        if self._obstacle is not None and any(
            isinstance(op, PutOp) and op.value is not None and op.index is not False for op in ops
        ):
            await self._warn_once(f"items are put without vectors: {self._obstacle}")

    async def _warn_once(self, warning: str) -> None:
        if self._warn is not None and warning not in self._warned:
            self._warned.add(warning)
            await self._warn(warning)

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
