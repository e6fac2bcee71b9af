"""Starts runs: whether a session may start, when it waits, and the Job of its next run."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from agentic_core.conditions import Condition, Reason, find_condition, with_condition
from agentic_core.lifecycle import Phase
from agentic_core.names import FINALIZER, RUNNER_SERVICE_ACCOUNT, job_name
from agentic_core.resources import AgenticSession, WorkflowSnapshot
from agentic_operator.author_pods import find_account, list_pod_problems
from agentic_operator.kube.events import Event
from agentic_operator.manifests.jobs import Definition, build_claim, build_job, effective_limits
from agentic_operator.sessions.admission import (
    Admission,
    Admitted,
    Refused,
    Waits,
    admit_workflow,
    check_approval,
    check_deadline,
    check_env,
    check_graph,
    check_image,
    check_mounts,
    check_queue,
    check_settings,
    refuse_pod,
    warn_of_settings,
)
from agentic_operator.sessions.diagnosis import clip
from agentic_operator.sessions.ending import LOOK_AGAIN, fail
from agentic_operator.sessions.observation import Observation, Rules, find_pending
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.snapshot import find_spec
from agentic_operator.sessions.status import build_condition, change_session, fail_session, last_run

_ACTIVE: Final = (Phase.CREATING, Phase.RUNNING)


def start(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """The first run, or the next one of a session that went back to the queue."""
    if session.status.run and session.status.workflow is not None:
        return run_again(session, seen, now, rules, last_run(session) + 1, restarts=0)
    made = find_pending(session, seen.jobs)
    admission: Admission = _admit(session, seen, rules)
    if not isinstance(admission, Refused) and seen.definition is not None and not made:
        # Also where its inspection is waited for: it will get none.
        spec = seen.definition.spec
        admission = refuse_pod(list_pod_problems(spec, rules.pods, find_account(spec, spec))) or admission
    if isinstance(admission, Admitted):
        # A Job made just before a crash was made of what had been checked.
        refused = None if made else _check(session, seen)
        admission = refused or seen.refused_inputs or admission
    # A Job made just before a crash holds its place already.
    if isinstance(admission, Admitted) and not made:
        admission = check_queue(seen.definition, seen.queue) or admission
    if isinstance(admission, Refused):
        return _refuse(session, admission, now)
    if isinstance(admission, Waits):
        return _hold(session, admission, now)
    return create_run(session, seen, now, rules, last_run(session) + 1, admission.snapshot)


def _admit(session: AgenticSession, seen: Observation, rules: Rules) -> Admission:
    ref = session.spec.workflow_ref
    if ref.kind == "ClusterWorkflowDefinition" and not rules.has_cluster_definitions:
        return Waits(
            Reason.WORKFLOW_NOT_FOUND,
            f"/spec/workflowRef/kind: the operator of namespace {session.namespace!r} runs no"
            " ClusterWorkflowDefinitions, by its setting CLUSTER_DEFINITIONS; make a WorkflowDefinition"
            f" {ref.name!r} here, or have that set",
        )
    return admit_workflow(session, seen.definition, rules.allowed)


def _check(session: AgenticSession, seen: Observation) -> Refused | None:
    definition = seen.definition
    refused = check_approval(session, definition) or check_deadline(session, definition)
    refused = refused or check_graph(session, definition)
    return refused or check_env(session, definition) or check_settings(session, definition)


def _refuse(session: AgenticSession, refused: Refused, now: datetime) -> Plan:
    status = fail_session(session, refused.reason, refused.message, now, is_accepted=False, retriable=False)
    return Plan(status=status, notes=(Event(refused.reason, refused.message, "Warning", "Accept"),))


def _hold(session: AgenticSession, waits: Waits, now: datetime) -> Plan:
    """Return why the session waits. Where the phase cannot be Pending again it stays, with the reason."""
    status = change_session(session, Phase.PENDING, waits.reason, waits.message, now)
    note = Event(waits.reason, waits.message, action="Accept")
    if waits.reason is Reason.WORKFLOW_NOT_FOUND:
        note = replace(note, type="Warning")
    return Plan(status=status, notes=(note,))


def create_run(
    session: AgenticSession,
    seen: Observation,
    now: datetime,
    rules: Rules,
    run: int,
    snapshot: WorkflowSnapshot,
    *,
    restarts: int | None = None,
    message: str = "",
) -> Plan:
    """Make the Job of a run, and say in the status that it starts."""
    spec = find_spec(snapshot, seen.definition)
    is_first = session.status.run is None
    warnings = (seen.input_warning, warn_of_settings(session, seen.definition) if is_first else "")
    warning = clip("; ".join(filter(None, warnings)))
    status = change_session(
        session,
        Phase.CREATING,
        Reason.JOB_CREATED,
        message or f"run {run} starts",
        now,
        conditions=_accept(session, warning, now),
        run=run,
        restarts=restarts or None,
        job_name=job_name(session.name, run),
        thread_id=session.thread,
        workflow=snapshot,
        limits=session.status.limits or effective_limits(session, spec, rules.jobs),
    )
    plan = Plan(
        add_finalizer=FINALIZER not in session.metadata.finalizers,
        status=status,
        notes=(
            Event(Reason.JOB_CREATED, f"created Job {job_name(session.name, run)}", action="CreateJob"),
            *_warn(warning),
        ),
    )
    if any(job.run == run for job in seen.jobs):
        return plan
    return replace(
        plan,
        claim=build_claim(session, spec) if spec is not None and is_first else None,
        job=build_job(
            session,
            snapshot,
            spec,
            run,
            session.thread,
            rules.jobs,
            account=find_run_account(snapshot, seen.definition) or RUNNER_SERVICE_ACCOUNT,
        ),
    )


def run_again(
    session: AgenticSession,
    seen: Observation,
    now: datetime,
    rules: Rules,
    run: int,
    *,
    restarts: int,
    message: str = "",
) -> Plan:
    """Make a later run from the pinned workflow, in its turn where it gave its place away."""
    snapshot = session.status.workflow
    if snapshot is None:
        raise ValueError(f"session {session.name!r} has run {session.status.run!r} but no pinned workflow")
    # The list may have become stricter since the session started.
    refused = check_image(snapshot.image, rules.allowed) or check_mounts(find_spec(snapshot, seen.definition))
    if refused is not None:
        return fail(session, seen, refused.reason, refused.message, now)
    # What pinned sessions ask of pods was allowed once: they wait for the setting, or for what the definition names.
    if (refused := _check_pods(snapshot, seen, rules)) is not None:
        held = _hold(session, Waits(refused.reason, refused.message), now)
        return replace(held, wake_at=now + LOOK_AGAIN)
    holds_place = session.status.phase in _ACTIVE or any(job.run == run for job in seen.jobs)
    if not holds_place and (waits := check_queue(seen.definition, seen.queue)) is not None:
        return _hold(session, waits, now)
    return create_run(session, seen, now, rules, run, snapshot, restarts=restarts, message=message)


def _check_pods(snapshot: WorkflowSnapshot, seen: Observation, rules: Rules) -> Refused | None:
    spec = find_spec(snapshot, seen.definition)
    return refuse_pod(list_pod_problems(spec, rules.pods, find_run_account(snapshot, seen.definition)))


def find_run_account(snapshot: WorkflowSnapshot | None, definition: Definition | None) -> str:
    """Return the service account that a run's workflow names; empty where the shared one serves."""
    return find_account(find_spec(snapshot, definition), definition.spec if definition is not None else None)


def _warn(warning: str) -> tuple[Event, ...]:
    return (Event(Reason.UNKNOWN_INPUT, warning, "Warning", "Accept"),) if warning else ()


def _accept(session: AgenticSession, warning: str, now: datetime) -> tuple[Condition, ...]:
    """Return the conditions of a session whose run begins: accepted, and whatever kept it from a Job is over."""
    generation = session.metadata.generation
    old = session.status.conditions
    kept = tuple(c for c in old if c.type != "Scheduled" or c.status != "False")
    known = find_condition(kept, "Accepted")
    if known is not None and known.status == "True":
        return kept
    accepted = build_condition("Accepted", "True", Reason.ACCEPTED, "workflow and inputs are valid", now, generation)
    conditions = with_condition(kept, accepted)
    if warning:
        unknown = build_condition("InputsKnown", "False", Reason.UNKNOWN_INPUT, warning, now, generation)
        conditions = with_condition(conditions, unknown)
    return tuple(conditions)


def pin_workflow(session: AgenticSession, seen: Observation, rules: Rules) -> WorkflowSnapshot | None:
    """Return the workflow as a run would pin it now; None where it cannot run."""
    admission = _admit(session, seen, rules)
    return admission.snapshot if isinstance(admission, Admitted) else None
