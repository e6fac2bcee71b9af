"""Compares the chains of an export with the heads that the sessions' statuses name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentic_cli.kube.client import Api
from agentic_cli.model.kinds import SESSIONS
from agentic_core.trail import Chain, ChainReader, EntryKind, Fault, hash_text


@dataclass
class Heads:
    """The result of comparing the chains of an export with the cluster."""

    same: int = 0
    """Chains whose end equals the head in the status."""
    behind: int = 0
    """Chains of which the status has more entries, which the database does not have yet."""
    ended: int = 0
    """Chains of sessions that are gone, with the entry that ends them."""
    open: int = 0
    """Chains of sessions that are gone, as they were exported while those were there."""
    faults: list[Fault] = field(default_factory=list)

    def describe(self) -> str:
        """Return the counts in words."""
        words = {
            "as in the cluster": self.same,
            "with entries that are not stored yet": self.behind,
            "ended with their session": self.ended,
            "of sessions that are gone, without an end": self.open,
        }
        return ", ".join(f"{count} {text}" for text, count in words.items() if count) or "no chains"


def compare_heads(api: Api, reader: ChainReader) -> Heads:
    """Compare the export with the sessions of its namespaces."""
    heads, left = Heads(), dict(reader.chains)
    scope = reader.scope or ()
    named = sorted({*scope, *(each.namespace for each in left.values())})
    places: list[str | None] = [None] if "*" in scope else [*named]
    for place in places:
        for page in api.list_pages(SESSIONS, place):
            for raw in page.get("items") or ():
                known = left.pop(raw["metadata"]["uid"], None)
                _compare(heads, raw, known, is_whole=place is None or place in scope)
    for chain in left.values():
        if chain.last_kind == EntryKind.DELETED:
            heads.ended += 1
        else:
            heads.open += 1
    return heads


def _compare(heads: Heads, raw: Mapping[str, Any], known: Chain | None, *, is_whole: bool) -> None:
    trail: Mapping[str, Any] = (raw.get("status") or {}).get("trail") or {}
    seq, pending = int(trail.get("seq") or 0), trail.get("pending") or []
    session = f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"
    if known is None:
        is_stored = seq > 0 and not (pending and pending[0]["seq"] == 1)
        if is_stored and is_whole:
            text = f"is not in the file, its status names {seq} entries: export again, or they are lost"
            heads.faults.append(Fault(0, session, text))
        return
    if known.seq > seq:
        text = f"the file has entries up to {known.seq}, the session's status up to {seq}"
        heads.faults.append(Fault(known.line, session, text))
        return
    if known.seq == seq:
        if known.hash != trail.get("hash"):
            text = (
                f"the session's status says that entry {seq} has the hash {trail.get('hash')!r}: the chain is another"
            )
            heads.faults.append(Fault(known.line, session, text))
            return
        heads.same += 1
        return
    following = next((each for each in pending if each["seq"] == known.seq + 1), None)
    if following is None:
        text = f"entries {known.seq + 1} to {seq} are not in the file: export again, or they are lost"
        heads.faults.append(Fault(known.line, session, text))
    elif json.loads(following["entry"]).get("prev") != known.hash or hash_text(following["entry"]) != following["hash"]:
        text = f"entry {known.seq + 1}, which the status holds, does not follow from the file's last one"
        heads.faults.append(Fault(known.line, session, text))
    else:
        heads.behind += 1
