"""The last checkpoints of a session, as its status lists them for forks."""

from collections.abc import Iterable, Sequence
from typing import Final

from agentic_core.contract import MAX_HISTORY
from agentic_core.resources.session import HistoryEntry
from agentic_runner.output.redaction import bounded
from agentic_store.threads import CheckpointRow

_MAX_NODES: Final = 256


def join_nodes(names: Iterable[str]) -> str | None:
    """Return the names as one text, each once; None for none."""
    return bounded(", ".join(dict.fromkeys(names)), _MAX_NODES) or None


def recall(rows: Sequence[CheckpointRow]) -> tuple[HistoryEntry, ...]:
    """Return the last checkpoints from the database: a killed run did not report its last ones."""
    return tuple(
        HistoryEntry(
            id=row.checkpoint_id, step=row.step, node=join_nodes(row.nodes), next=join_nodes(row.next), at=row.at
        )
        for row in reversed(rows)
    )


def extend(known: Iterable[HistoryEntry], new: Iterable[HistoryEntry]) -> tuple[HistoryEntry, ...]:
    """Return ``known`` with the new checkpoints, at most the last ones that fit; the first entry of each stays."""
    entries = {entry.id: entry for entry in known}
    for entry in new:
        entries.setdefault(entry.id, entry)
    return tuple(entries.values())[-MAX_HISTORY:]
