"""LangGraph's own saver and store on our pool, with their contents encrypted (``sealed``) where there are keys.

The pool tries every connection before it lends it, so that a restarted database costs a reconnection; it also carries
the fence that lets the database refuse a superseded runner. The saver uses one connection at a time: what several
branches save meanwhile goes together (``grouping``, ``save_queue``), which costs less than a connection each.

Nothing here creates or changes a table: that is the migration's. ``setup()`` is never called.
"""

from typing import TYPE_CHECKING, Any

from agentic_runner.encryption import Keyring
from agentic_store.database import Database
from agentic_store.tenants import memory_label

if TYPE_CHECKING:
    from agentic_runner.grouping import GroupingSaver, OnSaved
    from agentic_runner.long_term import ProjectStore
    from agentic_runner.state_types import StateTypes


def checkpoint_version() -> int:
    """Return the newest checkpoint migration that the installed library knows."""
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    return len(AsyncPostgresSaver.MIGRATIONS) - 1


def build_saver(
    database: Database,
    keyring: Keyring | None = None,
    *,
    on_saved: "OnSaved | None" = None,
    state_types: "StateTypes | None" = None,
) -> "GroupingSaver":
    """Return the checkpointer of this process; needs a running event loop.

    ``state_types`` are those that a state is restored with: of the modules that are loaded, where absent.

    Without a keyring it encrypts nothing, and says of an encrypted checkpoint which key that takes. ``on_saved`` hears
    of each checkpoint of a thread's own graph, once it is saved.
    """
    from agentic_runner.grouping import ignore
    from agentic_runner.sealed import SealedSaver, SealingSerializer

    # The saver only asks for connections with dict rows; its annotation names one row class.
    pool: Any = database.pool
    serde = SealingSerializer(keyring or Keyring(), state_types)
    return SealedSaver(pool, serde=serde, on_saved=on_saved or ignore)


def build_store(database: Database, namespace: str, keyring: Keyring | None = None) -> "ProjectStore":
    """Return the long-term store that graphs of a project may use; needs a running event loop."""
    from agentic_runner.sealed import SealedStore, SealingSerializer

    serde = SealingSerializer(keyring or Keyring())
    return SealedStore(database.pool, label=memory_label(namespace), serde=serde)
