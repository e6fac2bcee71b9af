"""The session controller: carries out the plan of a pass, in an order that survives a crash after any write."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from agentic_core.conditions import Reason
from agentic_core.errors import Conflict, TransientError
from agentic_core.names import FINALIZER, MANAGED_BY, MANAGED_BY_LABEL, SESSION_LABEL
from agentic_core.resources import AgenticSession, SessionStatus
from agentic_core.times import seconds_until
from agentic_operator.controllers.dependencies import Dependencies
from agentic_operator.controllers.session_observer import SessionObserver
from agentic_operator.kube.client import CLAIMS, JOBS, PODS, SESSIONS, Json
from agentic_operator.kube.errors import AlreadyExists, Blocked, Forbidden, Invalid, NotFound
from agentic_operator.manifests.pods import Manifest
from agentic_operator.sessions.blockers import hold_session
from agentic_operator.sessions.children import find_controller, observe_job
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.ending import DELETION_PATIENCE
from agentic_operator.sessions.keys import SessionKey
from agentic_operator.sessions.observation import Observation
from agentic_operator.sessions.plan import Plan, Repair
from agentic_operator.sessions.snapshot import find_spec
from agentic_operator.sessions.starting import find_run_account
from agentic_operator.sessions.status import build_exact_patch, diff_status, fail_session

PURGE_SECONDS: Final = 5.0
# After this many conflicts in a row a session's Jobs are withdrawn without the rest of its status.
PATIENT_CONFLICTS: Final = 2
# How often a Job or pod whose labels cannot be restored is read: without labels it raises no watch events.
UNREPAIRED_SECONDS: Final = 10.0

logger: Final = logging.getLogger(__name__)


class SessionReconciler:
    """One pass over a session at a time."""

    def __init__(self, parts: Dependencies) -> None:
        self._parts = parts
        self._kube = parts.kube
        self._index = parts.index
        self._observer = SessionObserver(parts)

    async def reconcile(self, key: SessionKey) -> None:
        """Observe a session, decide, and carry out the plan; an error raised here is retried by the queue."""
        found = await self._parts.lookup.fetch_session(key)
        if found is None:
            self._forget(key)
            return
        session, body = found
        seen = await self._observer.look(key, session)
        now = self._parts.now()
        seen = await self._observer.check(key, session, body, seen, now)
        plan = decide(session, replace(seen, queue=self._index.queue_of(key)), now, self._parts.rules)
        self._reserve(key, session, plan)
        try:
            await self._apply(key, session, body, seen, plan, now)
        except BaseException:
            self._index.release(key)
            raise
        self._observer.remember(key, session)

    def _reserve(self, key: SessionKey, session: AgenticSession, plan: Plan) -> None:
        """Reserve the slots that a plan needs before it is carried out, so that no other pass takes them."""
        has_new_turn = plan.status is not None and plan.status.turn not in (None, session.status.turn)
        if plan.job is not None or has_new_turn:
            self._index.reserve(key)
        if session.is_conversation and plan.status is not None and plan.status.workflow is not None:
            self._index.reserve_conversation(key)

    async def _apply(
        self, key: SessionKey, session: AgenticSession, body: Json, seen: Observation, plan: Plan, now: datetime
    ) -> None:
        uids = {job.name: job.uid for job in seen.jobs}
        uids.update((pod.name, pod.uid) for pod in seen.pods)
        if plan.job is not None:
            spans = self._parts.start_spans
            with spans.making(session, plan.job) if spans is not None else nullcontext():
                refused = await self._create_job(key, session, seen, plan, plan.job)
            if refused is not None:
                await self._write_status(key, session, refused)
                return
            if not session.status.phase and self._parts.queue.has_urgent:
                # Other sessions wait for their Job. This session's Job exists, so its status can be written later.
                self._index.keep_body(key, body)
                self._parts.queue.add(key, urgent=False)
                return
        if plan.add_finalizer:
            session = await self._add_finalizer(session)
        has_news = False
        if plan.status is not None:
            try:
                has_news = await self._write_status(key, session, plan.status)
            except Conflict:
                if self._parts.queue.failures_of(key) >= PATIENT_CONFLICTS:
                    await self._withdraw(key, session, plan.status, plan.delete_jobs, uids)
                raise
        if plan.prune_turns or plan.prune_responses:
            await self._prune_spec(key, session, plan)
        for repair in plan.repairs:
            await self._repair(key, repair)
        for name in plan.delete_jobs:
            await self._delete_job(key, name, uids.get(name, ""))
        about = {"namespace": key.namespace, "session": key.name}
        for name in plan.delete_pods:
            await self._kube.delete(PODS, key.namespace, name, uid=uids.get(name, ""))
            logger.info("deleted pod %s: nothing else removes its finalizer", name, extra=about)
        if plan.purge:
            await self._purge(session, now)
        if plan.delete_session:
            await self._kube.delete(SESSIONS, key.namespace, key.name, uid=session.metadata.uid)
        if plan.wake_at is not None:
            self._parts.queue.add_after(key, seconds_until(plan.wake_at, now))
        if has_news or plan.job is not None:
            self._announce(session, plan)

    async def _create_job(
        self, key: SessionKey, session: AgenticSession, seen: Observation, plan: Plan, manifest: Manifest
    ) -> SessionStatus | None:
        """Create the Job and what it needs; return a failed status if the API server will never accept the Job."""
        snapshot = plan.status.workflow if plan.status is not None else None
        spec = find_spec(snapshot, seen.definition)
        template = spec.pod_template if spec is not None else None
        account = find_run_account(snapshot, seen.definition)
        annotations = template.service_account_annotations if template is not None else None
        if account or not self._parts.rules.pods.has_shared_annotations:
            annotations = None
        now = self._parts.now()
        try:
            await self._parts.namespaces.prepare_for_runs(key.namespace, annotations)
            if account:
                ref = session.spec.workflow_ref
                await self._parts.namespaces.prepare_account(key.namespace, account, f"{ref.kind}/{ref.name}")
            if plan.claim is not None:
                await self._create_claim(key, session, plan.claim)
            raw = await self._create_or_adopt(key, session, manifest)
        except Invalid as error:
            return fail_session(session, Reason.INVALID_SPEC, str(error), now)
        except Exception as error:
            if isinstance(error, (NotFound, Forbidden)):
                # The namespace may have lost what it was prepared with, or may be gone.
                self._parts.namespaces.forget(key.namespace)
            await self._parts.report_blocker(
                error,
                key,
                key.namespace,
                session,
                "CreateJob",
                lambda blocker: self._write_status(key, session, hold_session(session, blocker, now)),
            )
            raise
        self._index.see_job(key, observe_job(raw))
        return None

    async def _create_claim(self, key: SessionKey, session: AgenticSession, claim: Manifest) -> None:
        """Create the claim of the workspace, or use an existing one that was made for this session's name.

        Raises ``Blocked`` for a claim that is being deleted or belongs to an earlier session of this name: the garbage
        collector will remove it, and a pod that mounts it would wait for ever. A claim whose labels say that it was
        made for a session of this name is used; a restored one looks like this. Any other claim is refused, because
        whoever starts a session chooses its name and could mount any claim that way.
        """
        name = claim["metadata"]["name"]
        with suppress(AlreadyExists):
            await self._kube.create(CLAIMS, key.namespace, claim)
            return
        raw = await self._kube.find(CLAIMS, key.namespace, name)
        owner = find_controller(raw) if raw is not None else None
        is_going = raw is None or "deletionTimestamp" in raw["metadata"]
        labels = (raw["metadata"].get("labels") or {}) if raw is not None else {}
        is_made_for_it = labels.get(MANAGED_BY_LABEL) == MANAGED_BY and labels.get(SESSION_LABEL) == session.name
        is_other = owner["uid"] != session.metadata.uid if owner is not None else not is_made_for_it
        if is_going or is_other:
            raise Blocked(
                Reason.NAME_TAKEN,
                f"a claim {name!r} that is not this session's is in the way; it starts once that is gone",
                retry_after_seconds=2,
            )

    async def _create_or_adopt(self, key: SessionKey, session: AgenticSession, manifest: Manifest) -> Json:
        try:
            return await self._kube.create(JOBS, key.namespace, manifest)
        except AlreadyExists:
            name = manifest["metadata"]["name"]
            raw = await self._kube.find(JOBS, key.namespace, name)
            if raw is not None and observe_job(raw).owner_uid == session.metadata.uid:
                return raw
            raise Blocked(
                Reason.NAME_TAKEN,
                f"a Job {name!r} that is not this session's is in the way; it starts once that is gone",
                retry_after_seconds=2,
            ) from None

    async def _withdraw(
        self,
        key: SessionKey,
        session: AgenticSession,
        wanted: SessionStatus,
        jobs: Sequence[str],
        uids: Mapping[str, str],
    ) -> None:
        """Delete the Jobs of a session whose status changes faster than it can be read and written.

        The patch neither tests nor writes a field that a runner may write. The API server tests instead that the uid,
        the generation and the run are those that were observed. The invariant of ``withdraw`` holds: the status names
        the run as withdrawn before its Job is deleted.
        """
        if wanted.withdrawn_run == session.status.withdrawn_run or not jobs:
            return
        tests = {"/metadata/uid": session.metadata.uid, "/metadata/generation": session.metadata.generation}
        if session.status.run is not None:
            tests["/status/run"] = session.status.run
        operations: list[Json] = [{"op": "test", "path": path, "value": value} for path, value in tests.items()]
        operations.append({"op": "add", "path": "/status/withdrawnRun", "value": wanted.withdrawn_run})
        try:
            await self._kube.patch_exactly(SESSIONS, key.namespace, key.name, operations, subresource="status")
        except Invalid as error:
            logger.debug("not withdrawn: the session or its run has changed: %s", error)
            return
        for name in jobs:
            await self._delete_job(key, name, uids.get(name, ""))

    async def _add_finalizer(self, session: AgenticSession) -> AgenticSession:
        finalizers = [*session.metadata.finalizers, FINALIZER]
        patch: Json = {"metadata": {"finalizers": finalizers, "resourceVersion": session.metadata.resource_version}}
        raw = await self._kube.patch(SESSIONS, session.namespace, session.name, patch)
        self._index.see_session(raw)
        meta = session.metadata.model_copy(
            update={"finalizers": tuple(finalizers), "resource_version": raw["metadata"]["resourceVersion"]}
        )
        return session.model_copy(update={"metadata": meta})

    async def _write_status(self, key: SessionKey, session: AgenticSession, status: SessionStatus) -> bool:
        """Write what differs from the status that was read, under its version; return whether anything was written."""
        change = diff_status(session.status, status)
        if not change:
            return False
        version = session.metadata.resource_version
        if not change.keys().isdisjoint(("interrupts", "answers", "workflow", "trail", "result")):
            # These hold values of people and graphs, where null is a value; a merge patch would delete it.
            is_first = "status" not in session.model_fields_set
            operations = build_exact_patch(version, session.status, status, is_first=is_first)
            raw = await self._kube.patch_exactly(SESSIONS, key.namespace, key.name, operations, subresource="status")
        else:
            patch: Json = {"metadata": {"resourceVersion": version}, "status": change}
            raw = await self._kube.patch(SESSIONS, key.namespace, key.name, patch, subresource="status")
        self._index.see_session(raw)
        written = session.model_copy(update={"status": status})
        if self._parts.recorder is not None:
            self._parts.recorder.submit(written)
        if self._parts.turns is not None:
            self._parts.turns.submit(written, session.status)
        if self._parts.trails is not None:
            self._parts.trails.submit(written)
        if status.phase is not session.status.phase or status.reason != session.status.reason:
            logger.info(
                "%s %s: %s",
                status.phase,
                status.reason,
                status.message,
                extra={"namespace": key.namespace, "session": key.name, "uid": session.metadata.uid, "run": status.run},
            )
        return True

    async def _prune_spec(self, key: SessionKey, session: AgenticSession, plan: Plan) -> None:
        """Remove old turns and answers from the spec; nothing is removed if a list has changed since it was read."""
        turns = [index for index, turn in enumerate(session.spec.turns) if turn.name in plan.prune_turns]
        operations: list[Json] = [{"op": "test", "path": "/metadata/uid", "value": session.metadata.uid}]
        for index in reversed(turns):
            place, name = f"/spec/turns/{index}", session.spec.turns[index].name
            operations.append({"op": "test", "path": f"{place}/name", "value": name})
            operations.append({"op": "remove", "path": place})
        for index in reversed(plan.prune_responses):
            place, id_ = f"/spec/responses/{index}", session.spec.responses[index].interrupt_id
            operations.append({"op": "test", "path": f"{place}/interruptId", "value": id_})
            operations.append({"op": "remove", "path": place})
        try:
            raw = await self._kube.patch_exactly(SESSIONS, key.namespace, key.name, operations)
        except Invalid as error:
            logger.debug("nothing pruned: a list has changed: %s", error)
            self._parts.queue.add(key, urgent=False)
            return
        if self._index.see_session(raw):
            self._parts.queue.add(key, urgent=False)

    async def _delete_job(self, key: SessionKey, name: str, uid: str) -> None:
        # By its uid: a new session of this name may have a Job of the same name by now.
        if not await self._kube.delete(JOBS, key.namespace, name, uid=uid):
            # The Job was gone already, so no watch event will follow.
            if self._index.forget_job(key, name, uid):
                self._parts.queue.add(key, urgent=False)
            return
        logger.info("deleted Job %s", name, extra={"namespace": key.namespace, "session": key.name})

    async def _repair(self, key: SessionKey, repair: Repair) -> None:
        """Restore labels and owner that somebody removed from a Job or pod; one that was replaced is left alone."""
        kind = JOBS if repair.kind == "Job" else PODS
        patch = {**repair.patch, "metadata": {**repair.patch.get("metadata", {}), "uid": repair.uid}}
        about = {"namespace": key.namespace, "session": key.name}
        try:
            await self._kube.patch(kind, key.namespace, repair.name, patch)
        except (NotFound, Conflict):
            # Without labels its end raised no watch event: the next pass reads it again.
            self._index.doubt(key, repair.name)
            self._parts.queue.add(key, urgent=False)
            return
        except (Forbidden, Invalid) as error:
            self._index.doubt(key, repair.name)
            self._parts.queue.add_after(key, UNREPAIRED_SECONDS)
            logger.warning(
                "restoring labels and owner of %s %s failed: %s", repair.kind, repair.name, error, extra=about
            )
            return
        logger.warning("restored labels and owner of %s %s", repair.kind, repair.name, extra=about)

    async def _purge(self, session: AgenticSession, now: datetime) -> None:
        """Delete the session's rows, then remove its finalizer; after ``DELETION_PATIENCE`` do so with rows left.

        The resync deletes rows that are left. The audit trail is different: what of it is not stored would be lost
        with the session, so the session stays until its trail is stored.
        """
        since = session.metadata.deletion_timestamp or now
        if self._parts.trails is not None:
            try:
                async with asyncio.timeout(PURGE_SECONDS):
                    await self._parts.trails.keep(session)
            except TimeoutError as error:
                raise TransientError(
                    "the trail of a deleted session is not stored yet: the database is slow"
                ) from error
        if self._parts.turns is not None:
            self._parts.turns.forget(session.metadata.uid)
        if self._parts.recorder is not None:
            try:
                async with asyncio.timeout(PURGE_SECONDS):
                    await self._parts.recorder.purge(session.metadata.uid)
            except (TransientError, Conflict, TimeoutError) as error:
                left = (since + DELETION_PATIENCE - now).total_seconds()
                if left > 0:
                    key = SessionKey(session.namespace, session.name)
                    self._parts.queue.add_after(key, left)
                    raise TransientError(f"rows of a deleted session are not purged yet: {error}") from error
                logger.warning(
                    "released a deleted session before its rows were purged; the resync purges them: %s",
                    error,
                    extra={"namespace": session.namespace, "session": session.name},
                )
        finalizers = [name for name in session.metadata.finalizers if name != FINALIZER]
        patch: Json = {"metadata": {"finalizers": finalizers, "resourceVersion": session.metadata.resource_version}}
        try:
            await self._kube.patch(SESSIONS, session.namespace, session.name, patch)
        except NotFound:
            logger.debug("session already deleted")
        if self._parts.trails is not None:
            self._parts.trails.forget(session.metadata.uid)

    def _announce(self, session: AgenticSession, plan: Plan) -> None:
        for note in plan.notes:
            self._parts.event_recorder.announce(session, note)

    def _forget(self, key: SessionKey) -> None:
        self._observer.forget(key)
        self._index.forget_session(key)
        self._parts.queue.forget(key)
