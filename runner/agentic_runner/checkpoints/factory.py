"""Makes the saver and the store of a run, on our connections.

The pool tries every connection before it lends it, so that a restarted database costs a reconnection; it also carries
the fence that lets the database refuse a superseded runner. The saver uses one connection at a time: what several
branches save meanwhile goes together (``grouping``, ``save_queue``), which costs less than a connection each.

Nothing here creates or changes a table: that is the migration's. ``setup()`` is never called.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agentic_core.errors import GraphLoadError
from agentic_runner.keyring import Keyring
from agentic_runner.project.modules import run_in_import_thread
from agentic_store.database import Database
from agentic_store.tenants import memory_label
from agentic_store.vector_rules import explain_obstacle

if TYPE_CHECKING:
    from agentic_runner.checkpoints.batching_saver import BatchingSaver, OnSaved
    from agentic_runner.checkpoints.project_store import ProjectStore, Warn
    from agentic_runner.checkpoints.state_types import StateTypes
    from agentic_runner.project.langgraph_json import Project
    from agentic_runner.project.memory import Index

log: Final = logging.getLogger(__name__)


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
    mask: Callable[[str], str] = str,
) -> "BatchingSaver":
    """Return the checkpointer of this process; needs a running event loop.

    ``state_types`` are those that a state is restored with: of the modules that are loaded, where absent.

    Without a keyring it encrypts nothing, and says of an encrypted checkpoint which key that takes. ``on_saved`` hears
    of each checkpoint of a thread's own graph, once it is saved.
    """
    from agentic_runner.checkpoints.batching_saver import ignore
    from agentic_runner.checkpoints.encrypted_saver import EncryptedSaver, EncryptingSerializer

    # The saver only asks for connections with dict rows; its annotation names one row class.
    pool: Any = database.pool
    serde = EncryptingSerializer(keyring or Keyring(), state_types, mask=mask)
    return EncryptedSaver(pool, serde=serde, on_saved=on_saved or ignore)


def build_store(database: Database, namespace: str, keyring: Keyring | None = None, **options: Any) -> "ProjectStore":
    """Return the long-term store that graphs of a project may use; needs a running event loop.

    ``options`` are those of ``ProjectStore``: index, ttl, and what to say of an index that does not work.
    """
    from agentic_runner.checkpoints.encrypted_saver import EncryptedStore, EncryptingSerializer

    serde = EncryptingSerializer(keyring or Keyring())
    return EncryptedStore(database.pool, label=memory_label(namespace), serde=serde, **options)


async def open_store(
    database: Database, namespace: str, keyring: Keyring | None, project: "Project", warn: "Warn"
) -> "ProjectStore":
    """Return the long-term store as a project's ``langgraph.json`` wants it, as far as the database can."""
    from agentic_runner.project.memory import read_memory

    memory = read_memory(project.settings)
    options: dict[str, Any] = {"warn": warn, "obstacle": memory.flaw}
    if memory.ttl is not None:
        options["ttl"] = {
            "default_ttl": memory.ttl.default_minutes,
            "refresh_on_read": memory.ttl.refresh_on_read,
            "omit_expired": memory.ttl.omit_expired,
        }
    if memory.index is not None:
        is_encrypting = keyring is not None and keyring.is_encrypting
        present = None if is_encrypting else await database.fetch_vector_dims()
        options["obstacle"] = explain_obstacle(memory.index.dims, present, is_encrypting=is_encrypting)
        if options["obstacle"] is None:
            options |= await run_in_import_thread(partial(_open_index, project, memory.index))
    if options["obstacle"] is not None:
        log.warning("no semantic search in the long-term store: %s", options["obstacle"])
    return build_store(database, namespace, keyring, **options)


def _open_index(project: "Project", index: "Index") -> dict[str, Any]:
    from agentic_runner.project.embedding import load_embeddings

    try:
        embeddings = load_embeddings(project, index)
    except GraphLoadError as error:
        return {"obstacle": f"/store/index/embed: {error}"}
    made: dict[str, Any] = {"dims": index.dims, "embed": embeddings}
    if index.fields is not None:
        made["fields"] = list(index.fields)
    if index.distance_type is not None:
        made["distance_type"] = index.distance_type
    return {"index": made}
