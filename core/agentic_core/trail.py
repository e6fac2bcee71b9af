"""The trail of a session: who answered what, as a chain of entries in which each names the hash of the one before.

An entry is a JSON object in its canonical form (RFC 8785), and its hash is the SHA-256 of that text. The first one
names a hash of the session itself, so that a chain stands for one session and no other. What an entry says of a value
is the value's digest: the value stands beside the entry, and can be taken away without breaking the chain.

Pure. ``docs/provable-answers.md`` says how anybody can check a chain without this module.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from agentic_core.digests import canonicalize
from agentic_core.display import escape_json
from agentic_core.wire import MAX_GENERATION, ApiModel

__all__ = [
    "FORMAT",
    "MAX_PENDING",
    "MAX_VALUE",
    "ROOM_FOR_PENDING",
    "Chain",
    "ChainReader",
    "EntryKind",
    "Fault",
    "PendingEntry",
    "Trail",
    "append",
    "drop_stored",
    "find_root",
    "hash_text",
    "mark",
    "measure",
    "measure_entry",
    "read_kind",
    "spell",
    "spell_end",
    "spell_line",
]

FORMAT: Final = 1
# Entries that are not stored yet, together, in bytes of their JSON: the status has them beside all else, and etcd takes
# 1.5 MiB an object, of which everybody has a share (`sessions-leave-room` in manifests/operator/admission.yaml).
ROOM_FOR_PENDING: Final = 96 * 1024
MAX_PENDING: Final = 1024
MAX_VALUE: Final = 160 * 1024
MAX_REFUSED: Final = 512
_MARK: Final = 16


class EntryKind(StrEnum):
    """The kind of an entry. A kind is an interface: it is added, never renamed."""

    RULE_RECORDED = "RuleRecorded"
    """The operator recorded what a question demands of its answers."""
    COUNTED = "Counted"
    """An answer counts for or against one that several persons have to give; the entry's value says which."""
    ACCEPTED = "Accepted"
    """An answer was accepted; the graph goes on with it."""
    REFUSED = "Refused"
    """An answer was refused by the operator."""
    DELETED = "Deleted"
    """The session is being deleted: nothing follows."""


class PendingEntry(ApiModel):
    """An entry that is not known to be stored yet."""

    seq: Annotated[int, Field(ge=1, le=MAX_GENERATION, description="Its number in the chain, from 1, without gaps.")]
    entry: Annotated[str, Field(max_length=16_384, description="The entry, as JSON in its canonical form.")]
    hash: Annotated[str, Field(max_length=64, description="SHA-256 of the entry.")]
    value: Annotated[
        str | None,
        Field(max_length=MAX_VALUE, description="The value that the entry's valueDigest is of, as canonical JSON."),
    ] = None
    message: Annotated[
        str | None, Field(max_length=4096, description="The text that the entry's messageDigest is of.")
    ] = None


class Trail(ApiModel):
    """How far the trail of a session is; written by the operator alone."""

    seq: Annotated[int, Field(ge=0, le=MAX_GENERATION, description="How many entries there are.")] = 0
    hash: Annotated[str, Field(max_length=64, description="Hash of the last entry: the head of the chain.")] = ""
    pending: Annotated[
        tuple[PendingEntry, ...],
        Field(
            max_length=MAX_PENDING,
            description="The last entries, until the database has them.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["seq"]},
        ),
    ] = ()
    refused: Annotated[
        tuple[Annotated[str, Field(max_length=_MARK)], ...],
        Field(
            max_length=MAX_REFUSED,
            description="Which refused answers of spec.responses have their entry.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def spell(value: Any) -> str:
    """Return a JSON value in its canonical form, as text."""
    return canonicalize(value).decode("utf-8", "surrogatepass")


def find_root(namespace: str, name: str, uid: str) -> str:
    """Return the previous hash of a chain's first entry."""
    return hash_text(spell({"trail": FORMAT, "namespace": namespace, "session": name, "uid": uid}))


def mark(*parts: Any) -> str:
    """Return a short digest that stands for something in ``status.trail.refused``."""
    return hash_text(spell(parts))[:_MARK]


def append(
    trail: Trail,
    root: str,
    members: Mapping[str, Any],
    *,
    value: str | None = None,
    message: str | None = None,
    keeps_value: bool = True,
) -> Trail:
    """Return the trail with one entry more.

    ``members`` are what the entry says, without those that are ``None``; ``value`` is the canonical JSON that it is
    about and ``message`` a text: either enters by its digest alone. Without ``keeps_value`` the digest is all that
    stays of the value.
    """
    said = {name: each for name, each in members.items() if each is not None}
    if value is not None:
        said["valueDigest"] = hash_text(value)
    if message is not None:
        # The database keeps no U+0000.
        message = message.replace("\0", "\ufffd")
        said["messageDigest"] = hash_text(message)
    seq = trail.seq + 1
    entry = spell({**said, "seq": seq, "prev": trail.hash or root})
    added = PendingEntry(
        seq=seq, entry=entry, hash=hash_text(entry), value=value if keeps_value else None, message=message
    )
    return trail.model_copy(update={"seq": seq, "hash": added.hash, "pending": (*trail.pending, added)})


def drop_stored(trail: Trail, seq: int) -> Trail:
    """Return the trail without the entries up to ``seq``, which the database has."""
    pending = tuple(each for each in trail.pending if each.seq > seq)
    return trail if pending == trail.pending else trail.model_copy(update={"pending": pending})


def measure(trail: Trail | None) -> int:
    """Return how many bytes of JSON the entries take that are not stored yet."""
    return sum(map(measure_entry, trail.pending)) if trail is not None else 0


def measure_entry(pending: PendingEntry) -> int:
    """Return how many bytes of JSON one entry takes, as the API server spells it."""
    return measure_text(json.dumps(pending.to_wire(), ensure_ascii=False))


def measure_text(text: str) -> int:
    """Return how many bytes a text of JSON takes where '<', '>' and '&' are escaped."""
    return len(text.encode("utf-8", "surrogatepass")) + 5 * sum(text.count(each) for each in "<>&")


def read_kind(pending: PendingEntry) -> str:
    """Return what kind of entry it is."""
    return str(json.loads(pending.entry).get("kind"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# -- exported

_LINE_MEMBERS: Final = frozenset({"entry", "hash", "message", "namespace", "session", "uid", "value"})
_END_MEMBERS: Final = frozenset({"end"})


def spell_end(*, entries: int, sessions: int, namespaces: Iterable[str] | None) -> str:
    """Return the line that an export ends with: how much there is, and which namespaces it has whole, if any."""
    end: dict[str, Any] = {"entries": entries, "sessions": sessions}
    if namespaces is not None:
        end["namespaces"] = list(namespaces)
    return spell({"end": end})


def spell_line(
    *, namespace: str, session: str, uid: str, entry: str, hash_: str, value: str | None, message: str | None
) -> str:
    """Return the line of an export that stands for a stored entry: one JSON object in its canonical form.

    ``entry`` and ``value`` are canonical JSON already, and go in as they are.
    """
    # In the order of their names, as the canonical form has it.
    members = {
        "entry": entry,
        "hash": spell(hash_),
        "message": None if message is None else spell(message),
        "namespace": spell(namespace),
        "session": spell(session),
        "uid": spell(uid),
        "value": value,
    }
    return "{" + ",".join(f'"{name}":{text}' for name, text in members.items() if text is not None) + "}"


@dataclass(frozen=True)
class Chain:
    """A session's entries as an export has them, read to their end."""

    namespace: str
    session: str
    uid: str
    line: int
    """Where it begins."""
    seq: int = 0
    hash: str = ""
    last_kind: str = ""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a line of an export; ``session`` as ``namespace/name`` where the line says it.

    ``line`` is 0 for what is wrong with a session that has no line.
    """

    line: int
    session: str
    message: str

    def __str__(self) -> str:
        if not self.line:
            return f"{self.session}: {self.message}"
        about = f" ({self.session})" if self.session else ""
        return f"line {self.line}{about}: {self.message}"


@dataclass
class ChainReader:
    """Checks the lines of an export one after the other, with only the chains' heads in memory.

    ``is_closed`` is whether the line was there that an export ends with: a file without it may have been cut off.
    """

    chains: dict[str, Chain] = field(default_factory=dict)
    """Those that are read, by the session's uid."""
    entries: int = 0
    without_value: int = 0
    """Entries whose value or message is not in the file."""
    is_closed: bool = False
    scope: tuple[str, ...] | None = None
    """Namespaces that were exported whole; none if single sessions were."""
    _line: int = 0
    _last: str = ""

    def read(self, text: str) -> list[Fault]:
        """Check the next line; return its faults."""
        self._line += 1
        try:
            found = json.loads(text, parse_constant=_refuse_constant)
            canonical = spell(found)
            # As it was shown on a terminal, an export has what does not show by its number.
            is_canonical = text in (canonical, escape_json(canonical))
        except (ValueError, RecursionError):
            return [Fault(self._line, "", "is no JSON")]
        if not isinstance(found, dict):
            return [Fault(self._line, "", "is no entry: an object is expected")]
        if not is_canonical:
            # A member that is there twice would be read in two ways.
            return [Fault(self._line, "", "is not in the canonical form that it was exported in")]
        if self.is_closed:
            return [Fault(self._line, "", "follows the line that the export ends with")]
        if "end" in found:
            return [*self._refuse_members(found, _END_MEMBERS), *self._close(found["end"])]
        self.entries += 1
        names = [found.get(name) for name in ("namespace", "session", "uid")]
        if not all(isinstance(name, str) and name for name in names) or not isinstance(found.get("entry"), dict):
            return [Fault(self._line, "", "is no entry: it needs namespace, session, uid and entry")]
        namespace, session, uid = map(str, names)
        return [
            *self._refuse_members(found, _LINE_MEMBERS),
            *(
                Fault(self._line, f"{namespace}/{session}", each)
                for each in self._check(namespace, session, uid, found)
            ),
        ]

    def _refuse_members(self, found: Mapping[str, Any], known: frozenset[str]) -> list[Fault]:
        """Return a fault for each unknown member: a value under another name would pass for one that was taken out."""
        return [
            Fault(self._line, "", f"has a member that no export has: {name!r}") for name in found if name not in known
        ]

    def finish(self) -> list[Fault]:
        """Return the faults of the file as a whole, after its last line was read."""
        if self.is_closed:
            return []
        return [Fault(self._line + 1, "", "the line that an export ends with is missing: the file may be cut off")]

    def _close(self, end: Any) -> list[Fault]:
        self.is_closed = True
        said = end if isinstance(end, dict) else {}
        scope = said.get("namespaces")
        self.scope = tuple(map(str, scope)) if isinstance(scope, list) else None
        counted = {"entries": self.entries, "sessions": len(self.chains)}
        return [
            Fault(self._line, "", f"the export ended with {said.get(name)!r} {name}, the file has {count}")
            for name, count in counted.items()
            if said.get(name) != count
        ]

    def _check(self, namespace: str, session: str, uid: str, found: Mapping[str, Any]) -> Iterable[str]:
        entry: Mapping[str, Any] = found["entry"]
        known = self.chains.get(uid)
        faults: list[str] = []
        if known is None:
            known = Chain(namespace, session, uid, self._line)
        elif self._last != uid:
            faults.append("entries of this session stand apart: those of a session follow each other")
        if (known.namespace, known.session) != (namespace, session):
            faults.append(f"the uid {uid!r} is also that of {known.namespace}/{known.session}")
        seq = entry.get("seq")
        if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
            faults.append(f"the entry has no number: seq is {seq!r}")
            seq = known.seq + 1
        elif seq > known.seq + 1:
            missing = (
                f"entry {known.seq + 1} is" if seq == known.seq + 2 else f"entries {known.seq + 1} to {seq - 1} are"
            )
            faults.append(f"{missing} missing before entry {seq}")
        elif seq <= known.seq:
            faults.append(f"entry {seq} follows entry {known.seq}: it is there twice, or out of order")
        elif entry.get("prev") != (known.hash or find_root(namespace, session, uid)):
            what = "the session's name and uid" if seq == 1 else f"entry {seq - 1}"
            faults.append(f"entry {seq} does not follow from {what}: prev is another hash")
        if known.last_kind == EntryKind.DELETED:
            faults.append(f"entry {seq} follows the one that closed the chain")
        spelled = hash_text(spell(entry))
        if found.get("hash") != spelled:
            faults.append(f"entry {seq} was changed: its hash is {spelled}, the line says {found.get('hash')!r}")
        faults.extend(self._check_content(seq, entry, found))
        self._last = uid
        self.chains[uid] = Chain(
            known.namespace, known.session, uid, known.line, seq, spelled, str(entry.get("kind") or "")
        )
        return faults

    def _check_content(self, seq: int, entry: Mapping[str, Any], found: Mapping[str, Any]) -> Iterable[str]:
        is_whole = True
        for name, digest in (("value", entry.get("valueDigest")), ("message", entry.get("messageDigest"))):
            if name not in found:
                is_whole = is_whole and digest is None
            elif digest is None:
                yield f"entry {seq} has a {name}, and nothing in the chain says so"
            elif hash_text(spell(found[name]) if name == "value" else str(found[name])) != digest:
                yield f"the {name} of entry {seq} is not the one that was recorded: its digest differs"
        self.without_value += not is_whole
