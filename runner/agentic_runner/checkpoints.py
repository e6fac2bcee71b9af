"""LangGraph's own saver and store, unmodified, on our pool.

The pool tries every connection before it lends it, so that a restarted database costs a reconnection; it also carries
the fence that lets the database refuse a superseded runner. The saver holds one lock around each statement: with
several branches at once their writes queue up, which costs less than a connection each.

Nothing here creates or changes a table: that is the migration's. ``setup()`` is never called.
"""

from typing import TYPE_CHECKING, Any

from agentic_store.database import Database
from agentic_store.tenants import memory_label

if TYPE_CHECKING:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    from agentic_runner.long_term import ProjectStore


def checkpoint_version() -> int:
    """Return the newest checkpoint migration that the installed library knows."""
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    return len(AsyncPostgresSaver.MIGRATIONS) - 1


def build_saver(database: Database) -> "AsyncPostgresSaver":
    """Return the checkpointer of this process; needs a running event loop."""
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    # The saver only asks for connections with dict rows; its annotation names one row class.
    pool: Any = database.pool
    return AsyncPostgresSaver(pool)


def build_store(database: Database, namespace: str) -> "ProjectStore":
    """Return the long-term store that graphs of a project may use; needs a running event loop."""
    from agentic_runner.long_term import ProjectStore

    return ProjectStore(database.pool, label=memory_label(namespace))
