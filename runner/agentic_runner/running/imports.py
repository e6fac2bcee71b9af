"""Imports LangGraph in a thread, while the API server and the database answer."""

import importlib
from collections.abc import Awaitable

from agentic_core.errors import GraphLoadError
from agentic_runner.floors import find_outdated
from agentic_runner.output.redaction import describe


def import_langgraph() -> None:
    """Import the modules that every run needs.

    Raises ``GraphLoadError`` where a library of the image is too old, and ``ImportError`` where one is broken.
    """
    if (fault := find_outdated()) is not None:
        raise GraphLoadError(fault)
    for module in ("langgraph.graph", "langgraph.checkpoint.postgres.aio", "langgraph.store.postgres.aio"):
        importlib.import_module(module)
    from langgraph.runtime import RunControl  # noqa: F401  (new in 1.2)


async def finish_imports(importing: Awaitable[None]) -> None:
    """Wait for :func:`import_langgraph`; raise ``GraphLoadError`` if it failed."""
    try:
        await importing
    except ImportError as error:
        raise GraphLoadError(
            f"LangGraph cannot be imported: {describe(error)}: the image needs langgraph 1.2.13 or newer and"
            " langgraph-checkpoint-postgres"
        ) from error
