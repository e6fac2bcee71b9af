"""The seam to schema checks: what the reconcilers ask, whoever answers."""

from collections.abc import Sequence
from typing import Protocol


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
