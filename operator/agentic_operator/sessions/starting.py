"""Starts runs: whether a session may start, when it waits, and the Job of its next run."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from agentic_core.conditions import Condition, Reason, find_condition, with_condition
from agentic_core.lifecycle import Phase
from agentic_core.names import FINALIZER, RUNNER_SERVICE_ACCOUNT, job_name
from agentic_core.resources import AgenticSession, SessionStatus, WorkflowSnapshot
from agentic_core.times import add
from agentic_operator.author_pods import find_account, list_pod_problems
from agentic_operator.kube.events import Event
from agentic_operator.manifests.jobs import Definition, build_claim, build_job, effective_limits
from agentic_operator.manifests.pods import reports_to_gateway
from agentic_operator.sessions.admission import (
    Admission,
    Admitted,
    Refused,
    Waits,
    admit_workflow,
    check_approval,
    check_ceiling,
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
from agentic_operator.sessions.blockers import HOLDING, Blocker, hold_session
from agentic_operator.sessions.diagnosis import START_PATIENCE, clip
from agentic_operator.sessions.ending import LOOK_AGAIN, fail
from agentic_operator.sessions.observation import Observation, Rules, find_pending
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.snapshot import find_spec
from agentic_operator.sessions.status import build_condition, change_session, fail_session, last_run
from agentic_operator.sessions.turn_checks import check_contract

_ACTIVE: Final = (Phase.CREATING, Phase.RUNNING)


def start(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Start the first run, or the next one of a session that went back to the queue."""
    if session.status.run and session.status.workflow is not None:
        return run_again(session, seen, now, rules, last_run(session) + 1, restarts=0)
    admission = admit_session(session, seen, rules)
    # A Job made just before a crash holds its place already.
    if isinstance(admission, Admitted) and not find_pending(session, seen.jobs):
        admission = check_queue(seen.definition, seen.queue) or admission
    if isinstance(admission, Refused):
        return refuse_session(session, admission, now)
    if isinstance(admission, Waits):
        return hold(session, admission, now)
    return create_run(session, seen, now, rules, last_run(session) + 1, admission.snapshot)


def admit_session(session: AgenticSession, seen: Observation, rules: Rules, *, is_counted: bool = False) -> Admission:
    """Return whether a session may begin, as its workflow is now; of a conversation that ``is_counted``, a turn."""
    made = find_pending(session, seen.jobs)
    admission: Admission = _admit(session, seen, rules)
    if not isinstance(admission, Refused) and seen.definition is not None and not made:
        # Also where its inspection is waited for: it will get none.
        spec = seen.definition.spec
        admission = refuse_pod(list_pod_problems(spec, rules.pods, find_account(spec, spec))) or admission
    if isinstance(admission, Admitted):
        # A Job made just before a crash was made of what had been checked.
        refused = None if made else _check(session, seen)
        refused = refused or check_contract(admission.snapshot, session)
        admission = refused or seen.refused_inputs or admission
    if isinstance(admission, Admitted) and session.is_conversation and not is_counted:
        admission = check_ceiling(session, seen.queue, rules.max_conversations) or admission
    return admission


def _admit(session: AgenticSession, seen: Observation, rules: Rules) -> Admission:
    ref = session.spec.workflow_ref
    if ref.kind == "ClusterWorkflowDefinition" and not rules.has_cluster_definitions:
        return Waits(
            Reason.WORKFLOW_NOT_FOUND,
            f"/spec/workflowRef/kind: the operator of namespace {session.namespace!r} runs no"
            " ClusterWorkflowDefinitions, by its setting CLUSTER_DEFINITIONS; make a WorkflowDefinition"
            f" {ref.name!r} here, or have that set",
        )
    admission = admit_workflow(session, seen.definition, rules.allowed)
    if (
        isinstance(admission, Admitted)
        and rules.jobs.gateway is None
        and reports_to_gateway(find_spec(admission.snapshot, None))
    ):
        return Waits(
            Reason.GATEWAY_NOT_CONFIGURED,
            f"{ref.kind} {ref.name!r} says reportsTo: Gateway, and the operator knows of none: install the gateway and"
            " set GATEWAY_URL",
        )
    return admission


def _check(session: AgenticSession, seen: Observation) -> Refused | None:
    definition = seen.definition
    refused = check_approval(session, definition) or check_deadline(session, definition)
    refused = refused or check_graph(session, definition)
    return refused or check_env(session, definition) or check_settings(session, definition)


def refuse_session(session: AgenticSession, refused: Refused, now: datetime) -> Plan:
    """Fail a session that can never run; one whose workflow may recover first waits for a minute."""
    if refused.may_pass:
        due = add(_find_held_since(session, _name_wait(refused.reason)) or now, START_PATIENCE)
        if now < due:
            message = f"{refused.message}; the session starts if that is mended within a minute, and else fails"
            return replace(hold(session, Waits(refused.reason, message, is_held=True), now), wake_at=due)
        remedy = f"once it is Ready, `agentic retry {session.name}` runs it again as a new session"
        refused = replace(refused, message=f"{refused.message}; {remedy}")
    status = fail_session(session, refused.reason, refused.message, now, is_accepted=False, retriable=False)
    return Plan(status=status, notes=(Event(refused.reason, refused.message, "Warning", "Accept"),))


def hold(session: AgenticSession, waits: Waits, now: datetime) -> Plan:
    """Report why the session waits. A phase that cannot become Pending again stays, with the new reason."""
    note = Event(waits.reason, waits.message, action="Accept")
    if waits.is_held or waits.reason is Reason.WORKFLOW_NOT_FOUND:
        note = replace(note, type="Warning")
    if waits.is_held:
        blocker = Blocker(_name_wait(waits.reason), waits.message)
        return Plan(status=hold_session(session, blocker, now), notes=(note,))
    # What kept an inspection from its pod is over where the workflow is only being checked again.
    is_over = waits.reason is Reason.WORKFLOW_NOT_READY
    kept = _drop_held(session.status.conditions) if is_over else session.status.conditions
    status = change_session(session, Phase.PENDING, waits.reason, waits.message, now, conditions=kept)
    return Plan(status=status, notes=(note,))


def _name_wait(reason: Reason) -> Reason:
    """Return the reason that a waiting session shows: one that keeps it in the queue, so that it is woken."""
    return Reason.WORKFLOW_NOT_READY if reason in HOLDING else reason


def _drop_held(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    return tuple(each for each in conditions if each.type != "Scheduled" or each.status != "False")


def _find_held_since(session: AgenticSession, reason: Reason) -> datetime | None:
    """Return since when the session's condition names this reason; None if it does not."""
    held = find_condition(session.status.conditions, "Scheduled")
    is_told = held is not None and held.status == "False" and held.reason == reason
    return held.last_transition_time if held is not None and is_told else None


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
    """Start a later run from the pinned workflow; if the session gave its slot away, it queues again."""
    snapshot = session.status.workflow
    if snapshot is None:
        raise ValueError(f"session {session.name!r} has run {session.status.run!r} but no pinned workflow")
    blocker = check_pinned(snapshot, seen, rules)
    if isinstance(blocker, Refused):
        return fail(session, seen, blocker.reason, blocker.message, now)
    if blocker is not None:
        return replace(hold(session, blocker, now), wake_at=now + LOOK_AGAIN)
    holds_place = session.status.phase in _ACTIVE or any(job.run == run for job in seen.jobs)
    if not holds_place and (waits := check_queue(seen.definition, seen.queue)) is not None:
        return hold(session, waits, now)
    return create_run(session, seen, now, rules, run, snapshot, restarts=restarts, message=message)


def check_pinned(snapshot: WorkflowSnapshot, seen: Observation, rules: Rules) -> Refused | Waits | None:
    """Return why a pinned workflow does not run any more, or not now; None if it does."""
    # The list may have become stricter since the session started.
    refused = check_image(snapshot.image, rules.allowed) or check_mounts(find_spec(snapshot, seen.definition))
    if refused is not None:
        return refused
    # What pinned sessions ask of pods was allowed once: they wait for the setting, or for what the definition names.
    refused = _check_pods(snapshot, seen, rules)
    return Waits(refused.reason, refused.message) if refused is not None else None


def accept_session(session: AgenticSession, snapshot: WorkflowSnapshot, now: datetime) -> SessionStatus:
    """Return the status of a conversation that is accepted, whether or not its first turn is there."""
    return session.status.model_copy(
        update={
            "conditions": _accept(session, "", now),
            "thread_id": session.thread,
            "workflow": snapshot,
        }
    )


def _check_pods(snapshot: WorkflowSnapshot, seen: Observation, rules: Rules) -> Refused | None:
    spec = find_spec(snapshot, seen.definition)
    return refuse_pod(list_pod_problems(spec, rules.pods, find_run_account(snapshot, seen.definition)))


def find_run_account(snapshot: WorkflowSnapshot | None, definition: Definition | None) -> str:
    """Return the service account that a run's workflow names; empty if the shared one serves."""
    return find_account(find_spec(snapshot, definition), definition.spec if definition is not None else None)


def _warn(warning: str) -> tuple[Event, ...]:
    return (Event(Reason.UNKNOWN_INPUT, warning, "Warning", "Accept"),) if warning else ()


def _accept(session: AgenticSession, warning: str, now: datetime) -> tuple[Condition, ...]:
    """Return the conditions of a session whose run begins: accepted, and whatever kept it from a Job is over."""
    generation = session.metadata.generation
    kept = _drop_held(session.status.conditions)
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
    """Return the workflow as a run would pin it now; None if it cannot run."""
    admission = _admit(session, seen, rules)
    return admission.snapshot if isinstance(admission, Admitted) else None
