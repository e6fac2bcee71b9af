"""Leader election by a Lease: at most one replica acts, another one takes over when it is silent.

It saves work; it is not what keeps two operators from doing damage. Derived names and preconditions do
that (decision 2).

As in Kubernetes' own components, a replica trusts only its own monotonic clock: it counts from the moment it saw the
record change, and never compares the other's timestamps with its own, so a wrong clock cannot depose a living leader.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from agentic_core.errors import AgenticError, Conflict
from agentic_core.wire import format_time
from agentic_operator.kube.client import LEASES, Json, Kube
from agentic_operator.kube.errors import AlreadyExists
from agentic_operator.variables import MAX_LEASE_SECONDS

LEASE_NAME: Final = "agentic-operator"
_MAX_TRANSITIONS: Final = 2_147_483_647

logger: Final = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another replica may lead now: stop at once."""


@dataclass(frozen=True)
class LeaseRecord:
    """A Lease as it was read."""

    holder: str
    renewed: str
    duration_seconds: float
    transitions: int
    version: str = ""

    def is_same_moment(self, other: "LeaseRecord | None") -> bool:
        """Return whether nobody wrote in between."""
        return other is not None and (self.holder, self.renewed, self.transitions) == (
            other.holder,
            other.renewed,
            other.transitions,
        )


@dataclass(frozen=True)
class Observation:
    """The record last seen, and since when (monotonic seconds) it has not changed."""

    record: LeaseRecord | None = None
    since: float = 0.0


class Move(Enum):
    """What to do about the Lease now."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def observe_lease(known: Observation, found: LeaseRecord | None, now: float) -> Observation:
    """Return the state after reading the Lease at ``now`` (monotonic seconds)."""
    if found is not None and found.is_same_moment(known.record):
        return replace(known, record=found)
    return Observation(found, now)


def decide_lease(identity: str, seen: Observation, now: float) -> Move:
    """Return the next action: renew its own Lease, take one that is free or not renewed for its duration, or wait."""
    record = seen.record
    if record is None:
        return Move.CREATE
    if record.holder == identity:
        return Move.RENEW
    if not record.holder or now >= seen.since + record.duration_seconds:
        return Move.TAKE
    return Move.WAIT


def is_lost(last_renewed: float, now: float, deadline_seconds: float) -> bool:
    """Return whether a leader must stop: it could not renew for the time that standbys wait, less a margin."""
    return now - last_renewed >= deadline_seconds


def count_transition(old: LeaseRecord | None, *, is_new: bool) -> int:
    """Return how often the Lease changed hands; it begins anew where an int32 ends, as the API server takes no more."""
    if old is None:
        return 0
    return (old.transitions + is_new) % (_MAX_TRANSITIONS + 1)


def read_lease(raw: Json) -> LeaseRecord:
    """Return the record of a Lease."""
    spec = raw.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        renewed=spec.get("renewTime") or "",
        # Whoever holds it longer than any setting allows is not one of us.
        duration_seconds=min(float(spec.get("leaseDurationSeconds") or 1), MAX_LEASE_SECONDS),
        transitions=spec.get("leaseTransitions") or 0,
        version=raw["metadata"]["resourceVersion"],
    )


class Election:
    """One replica's part in the election."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        identity: str,
        *,
        lease_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._identity = identity
        self._lease_seconds = lease_seconds
        self._deadline_seconds = lease_seconds * 2 / 3
        self._pause_seconds = lease_seconds / 7.5
        self._clock = clock
        self._seen = Observation()
        self._renewed_at = 0.0
        self._acquired_at = ""

    async def acquire(self) -> None:
        """Wait until this replica leads."""
        logger.info("waiting for the lease", extra={"identity": self._identity})
        while True:
            try:
                if await self._try():
                    logger.info("became leader", extra={"identity": self._identity})
                    return
            except AgenticError as error:
                logger.debug("acquiring the lease failed: %s", error)
            await asyncio.sleep(self._pause_seconds)

    async def hold(self) -> None:
        """Renew until that fails for too long; then raise :class:`LeaseLost`."""
        while True:
            await asyncio.sleep(self._pause_seconds)
            left = self._renewed_at + self._deadline_seconds - self._clock()
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    if not await self._try():
                        raise LeaseLost(f"{self._seen.record.holder if self._seen.record else 'nobody'} leads now")
            except (AgenticError, TimeoutError) as error:
                if is_lost(self._renewed_at, self._clock(), self._deadline_seconds):
                    raise LeaseLost(f"the lease could not be renewed for {self._deadline_seconds:g} s") from error
                logger.warning("renewing the lease failed, retrying: %s", error)

    async def release(self) -> None:
        """Give the Lease back, so that the next replica need not wait for it to run out.

        It is read again: a renewal that the end cut off may have been applied all the same.
        """
        try:
            async with asyncio.timeout(2):
                raw = await self._kube.find(LEASES, self._namespace, LEASE_NAME)
                record = read_lease(raw) if raw is not None else None
                if record is not None and record.holder == self._identity:
                    await self._write(record, holder="")
        except (AgenticError, TimeoutError) as error:
            logger.debug("releasing the lease failed: %s", error)

    async def _try(self) -> bool:
        """Read the Lease, decide, write; return whether this replica leads."""
        raw = await self._kube.find(LEASES, self._namespace, LEASE_NAME)
        now = self._clock()
        self._seen = observe_lease(self._seen, read_lease(raw) if raw is not None else None, now)
        move = decide_lease(self._identity, self._seen, now)
        if move is Move.WAIT:
            return False
        try:
            await self._write(self._seen.record, holder=self._identity)
        except (Conflict, AlreadyExists):
            # Somebody was faster: who leads is seen on the next look.
            if move is Move.RENEW:
                raise
            return False
        # Counted from before the write: standbys saw it later than that.
        self._renewed_at = now
        return True

    async def _write(self, old: LeaseRecord | None, *, holder: str) -> None:
        at = format_time(self._kube.clock.now())
        is_new = old is None or old.holder != holder
        if is_new or not self._acquired_at:
            self._acquired_at = at
        spec: Json = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._lease_seconds if holder else 1)),
            "acquireTime": self._acquired_at,
            "renewTime": at,
            "leaseTransitions": count_transition(old, is_new=is_new),
        }
        body: Json = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE_NAME, "namespace": self._namespace},
            "spec": spec,
        }
        if old is None:
            raw = await self._kube.create(LEASES, self._namespace, body)
        else:
            body["metadata"]["resourceVersion"] = old.version
            raw = await self._kube.replace(LEASES, self._namespace, LEASE_NAME, body)
        self._seen = Observation(read_lease(raw), self._clock())
