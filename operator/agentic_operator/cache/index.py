"""The index of sessions, their Jobs and pods, and definitions; it also keeps the slots of ``maxActiveSessions``.

It is an index, not a source of truth: all of it is built anew from lists and events after a restart. Bodies are kept
only for the moment between an event and its pass.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from agentic_core.conditions import find_condition
from agentic_core.resources import CheckpointTtl
from agentic_operator.cache.entries import Entry, Raw, read_entry
from agentic_operator.cache.slots import Slot, Slots, find_slot
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.admission import Queue
from agentic_operator.sessions.children import ObservedJob, ObservedPod
from agentic_operator.sessions.keys import DefinitionKey, Key, SessionKey

MAX_BODIES: Final = 4096
# Of sessions that have ended: when a process starts, all of them wait for a pass at once, and 1,000 bodies take 17 MiB.
MAX_ENDED_BODIES: Final = 128
_MAX_BODY_NODES: Final = 64
_MAX_BODY_CHARACTERS: Final = 4096


def is_small(value: object) -> bool:
    """Return whether a body is small enough to be kept for a moment; looks at a bounded part of it."""
    pending: list[object] = [value]
    nodes = characters = 0
    while pending:
        node = pending.pop()
        nodes += 1
        if isinstance(node, dict):
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, str):
            characters += len(node)
        if nodes + len(pending) > _MAX_BODY_NODES or characters > _MAX_BODY_CHARACTERS:
            return False
    return True


class Index:
    """The index. Everything is synchronous: between two awaits it is consistent.

    ``wake`` is called with sessions that may start because another one freed its slot, ``wake_later`` with definitions
    whose number of active sessions changed.
    """

    def __init__(self, wake: Callable[[Key], None], wake_later: Callable[[Key], None]) -> None:
        self.slots = Slots(wake, wake_later, self._find_limit)
        self._entries: dict[SessionKey, Entry] = {}
        self._admitting: set[str] = set()
        self._bodies: dict[SessionKey, Raw] = {}
        self._jobs: dict[Key, dict[str, ObservedJob]] = {}
        self._pods: dict[Key, dict[str, ObservedPod]] = {}
        self._doubts: dict[Key, set[str]] = {}
        self._definitions: dict[DefinitionKey, Definition] = {}

    # -- sessions

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: SessionKey) -> Entry | None:
        """Return a session's entry."""
        return self._entries.get(key)

    def entries(self) -> Iterable[Entry]:
        """Return the entries of all sessions; iterate without an await in between."""
        return self._entries.values()

    def keys(self) -> list[SessionKey]:
        """Return all sessions."""
        return list(self._entries)

    def see_session(self, raw: Raw, *, keep_body: bool = False) -> bool:
        """Remember a session as it was read; return whether a pass over it is due.

        Older versions than the one known are ignored: a replayed or reordered event changes nothing. With
        ``keep_body`` a session that has no phase, or has ended, is kept until its pass, which then need not read it.
        """
        meta = raw["metadata"]
        key, entry = SessionKey(meta.get("namespace", ""), meta["name"]), read_entry(raw)
        old = self._entries.get(key)
        if old is not None and old.uid == entry.uid and entry.version <= old.version:
            return False
        if old is not None and old.uid != entry.uid:
            self._leave(key, old)
        self._entries[key] = entry
        if entry.is_admitted:
            self._admitting.discard(entry.uid)
        self._settle(key, entry)
        if old is not None and entry.is_like(old):
            return False
        self._bodies.pop(key, None)
        limit = MAX_ENDED_BODIES if entry.is_final else MAX_BODIES
        may_keep = keep_body and (not entry.phase or entry.is_final) and not entry.is_deleting
        spec = raw.get("spec") or {}
        if may_keep and len(self._bodies) < limit and is_small([spec.get("inputs"), spec.get("turns")]):
            self._bodies[key] = raw
        return True

    def keep_body(self, key: SessionKey, raw: Raw) -> None:
        """Keep a body for the next pass over the session, unless something newer is known."""
        entry = self._entries.get(key)
        if entry is not None and entry.version == int(raw["metadata"].get("resourceVersion") or 0):
            self._bodies[key] = raw

    def take_body(self, key: SessionKey) -> Raw | None:
        """Return the body kept since the last event, once."""
        return self._bodies.pop(key, None)

    def forget_session(self, key: SessionKey, uid: str = "") -> Entry | None:
        """Drop a deleted session; with ``uid`` only if it is that one. Return its entry."""
        entry = self._entries.get(key)
        if entry is None or (uid and entry.uid != uid):
            return None
        self._leave(key, entry)
        self._admitting.discard(entry.uid)
        del self._entries[key]
        self._bodies.pop(key, None)
        self._jobs.pop(key, None)
        self._pods.pop(key, None)
        self._doubts.pop(key, None)
        return entry

    def reserve(self, key: SessionKey) -> None:
        """Give a session its slot before its Job exists, so that two passes cannot give away the same one."""
        if (entry := self._entries.get(key)) is not None:
            self.slots.put(key, entry, Slot.ACTIVE)

    def release(self, key: SessionKey) -> None:
        """Take a reserved slot back where no Job came to be."""
        if (entry := self._entries.get(key)) is not None:
            self._admitting.discard(entry.uid)
            self._settle(key, entry)

    def reserve_conversation(self, key: SessionKey) -> None:
        """Count a conversation before its status says that it was admitted."""
        if (entry := self._entries.get(key)) is not None and not entry.is_admitted:
            self._admitting.add(entry.uid)

    def queue_of(self, key: SessionKey) -> Queue:
        """Return how full the workflow is for this session, and the namespace for a conversation that is new."""
        entry = self._entries.get(key)
        if entry is None:
            return Queue()
        queue = self.slots.queue_of(key, entry)
        if not entry.is_conversation or entry.is_admitted:
            return queue
        return replace(queue, conversations=self._count_conversations(key))

    def _count_conversations(self, key: SessionKey) -> int:
        """Return how many other conversations of the namespace were admitted and have not ended."""
        return sum(
            (each.is_admitted or each.uid in self._admitting) and not each.is_final
            for other, each in self._entries.items()
            if other.namespace == key.namespace and other != key and each.is_conversation
        )

    # -- children

    def see_job(self, owner: Key, job: ObservedJob) -> bool:
        """Remember a Job; return whether anything about it changed."""
        self.settle_doubt(owner, job.name)
        jobs = self._jobs.setdefault(owner, {})
        if jobs.get(job.name) == job:
            return False
        jobs[job.name] = job
        self._settle_owner(owner)
        return True

    def forget_job(self, owner: Key, name: str, uid: str = "") -> bool:
        """Drop a Job that is gone; with ``uid`` only if it is that one."""
        self.settle_doubt(owner, name)
        jobs = self._jobs.get(owner, {})
        if name not in jobs or (uid and jobs[name].uid != uid):
            return False
        del jobs[name]
        if not jobs:
            del self._jobs[owner]
        self._settle_owner(owner)
        return True

    def doubt(self, owner: Key, name: str) -> bool:
        """Remember that a Job or pod left its watch (its labels may be gone, too); return whether it is known.

        Whether it is gone the next pass over its owner finds out.
        """
        if name not in self._jobs.get(owner, {}) and name not in self._pods.get(owner, {}):
            return False
        self._doubts.setdefault(owner, set()).add(name)
        return True

    def doubts_of(self, owner: Key) -> frozenset[str]:
        """Return the names of the owner's Jobs and pods that may be gone."""
        return frozenset(self._doubts.get(owner, ()))

    def settle_doubt(self, owner: Key, name: str) -> None:
        """Drop a doubt: the Job or pod was looked at."""
        names = self._doubts.get(owner)
        if names is not None:
            names.discard(name)
            if not names:
                del self._doubts[owner]

    def jobs_of(self, owner: Key, uid: str) -> tuple[ObservedJob, ...]:
        """Return the Jobs that the owner of this uid controls."""
        return tuple(job for job in self._jobs.get(owner, {}).values() if job.owner_uid == uid)

    def job_names(self, owner: Key) -> list[str]:
        """Return the names of all Jobs remembered for an owner."""
        return list(self._jobs.get(owner, ()))

    def see_pod(self, owner: Key, pod: ObservedPod) -> bool:
        """Remember a pod; return whether anything about it changed."""
        self.settle_doubt(owner, pod.name)
        pods = self._pods.setdefault(owner, {})
        if pods.get(pod.name) == pod:
            return False
        pods[pod.name] = pod
        return True

    def forget_pod(self, owner: Key, name: str) -> bool:
        """Drop a pod that is gone."""
        self.settle_doubt(owner, name)
        pods = self._pods.get(owner, {})
        if pods.pop(name, None) is None:
            return False
        if not pods:
            del self._pods[owner]
        return True

    def pods_of(self, owner: Key) -> tuple[ObservedPod, ...]:
        """Return the pods of an owner's Jobs."""
        return tuple(self._pods.get(owner, {}).values())

    def replace_pods(self, owner: Key, pods: Iterable[ObservedPod]) -> None:
        """Remember exactly these pods, as a list just showed them."""
        found = {pod.name: pod for pod in pods}
        if found:
            self._pods[owner] = found
        else:
            self._pods.pop(owner, None)

    def child_owners(self) -> list[Key]:
        """Return the owners of all Jobs and pods that are remembered."""
        return list({**dict.fromkeys(self._jobs), **dict.fromkeys(self._pods)})

    # -- definitions

    def see_definition(self, key: DefinitionKey, definition: Definition) -> bool:
        """Remember a definition; return whether sessions that wait for it should be looked at."""
        old = self._definitions.get(key)
        self._definitions[key] = definition
        return old is None or _essence(old) != _essence(definition)

    def forget_definition(self, key: DefinitionKey) -> None:
        """Drop a definition that is gone."""
        self._definitions.pop(key, None)

    def find_definition(self, key: DefinitionKey) -> Definition | None:
        """Return a definition as last seen."""
        return self._definitions.get(key)

    def list_checkpoint_ttls(self, namespace: str) -> list[tuple[DefinitionKey, CheckpointTtl]]:
        """Return the checkpoint retention of the workflows that a namespace's sessions may run."""
        found = []
        for key, definition in self._definitions.items():
            project = definition.status.project
            if key.namespace in ("", namespace) and project is not None and project.checkpoint_ttl is not None:
                found.append((key, project.checkpoint_ttl))
        return found

    # -- slots

    def _settle(self, key: SessionKey, entry: Entry) -> None:
        has_job = any(not job.is_finished for job in self.jobs_of(key, entry.uid))
        self.slots.put(key, entry, find_slot(entry, has_job=has_job))

    def _settle_owner(self, owner: Key) -> None:
        if isinstance(owner, SessionKey) and (entry := self._entries.get(owner)) is not None:
            self._settle(owner, entry)

    def _leave(self, key: SessionKey, entry: Entry) -> None:
        self.slots.put(key, entry, Slot.NONE)

    def _find_limit(self, workflow: DefinitionKey) -> int | None:
        definition = self._definitions.get(workflow)
        return definition.spec.max_active_sessions if definition is not None else None


def _essence(definition: Definition) -> tuple[object, ...]:
    ready = find_condition(definition.status.conditions, "Ready")
    return (
        definition.metadata.uid,
        definition.metadata.generation,
        ready.status if ready is not None else None,
        ready.reason if ready is not None else None,
        ready.observed_generation if ready is not None else None,
    )
