"""A conversation between two turns: how the next one begins, waits or is refused, and how the conversation ends.

The invariant of beginnings: a turn begins in one write of the status together with the run that is to take it, or
where the pod of the run before waits for it; and no turn begins while anything else of the session lives. Pure.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from agentic_core.conditions import Reason
from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession, Turn
from agentic_core.times import add, add_seconds
from agentic_operator.kube.events import Event
from agentic_operator.manifests.jobs import effective_idle_deadline, effective_keep_warm
from agentic_operator.sessions.admission import Admitted, Refused, Waits, check_queue
from agentic_operator.sessions.diagnosis import find_spent
from agentic_operator.sessions.ending import LINGER, LOOK_AGAIN, find_living, is_given_up, suspend, wind_down
from agentic_operator.sessions.held import find_held
from agentic_operator.sessions.observation import Observation, Rules, find_job, find_pending, find_present, list_names
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.snapshot import find_spec
from agentic_operator.sessions.starting import (
    accept_session,
    admit_session,
    check_pinned,
    create_run,
    hold,
    refuse_session,
)
from agentic_operator.sessions.status import change_session, is_withdrawn, last_run, refresh_session
from agentic_operator.sessions.turn_checks import check_contract, check_turn
from agentic_operator.sessions.turns import begin_turn, find_next, refuse_turn

# How long a warm pod may take to take a turn: it is told at once, and looks by itself every 15 seconds.
HANDOVER_PATIENCE: Final = timedelta(seconds=40)
# A warm pod that has less time left than this is about to go.
LEAST_WARMTH: Final = timedelta(seconds=3)
# How long a runner that keeps no pod warm may take to end after its last word.
ENDING_PATIENCE: Final = timedelta(seconds=5)
_RESTING: Final = frozenset({Reason.IDLE, Reason.TURN_COMPLETED, Reason.TURN_FAILED, Reason.TURN_CANCELED})


def between_turns(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Decide a pass over a conversation of which no turn is on: begin the next one, wait for it, or end."""
    if session.spec.suspend:
        return suspend(session, seen, now)
    snapshot = session.status.workflow
    if snapshot is None:
        admission = admit_session(session, seen, rules)
        if isinstance(admission, Refused):
            return refuse_session(session, admission, now)
        if isinstance(admission, Waits):
            return replace(hold(session, admission, now), wake_at=now + LOOK_AGAIN)
        snapshot = admission.snapshot
        session = session.model_copy(update={"status": accept_session(session, snapshot, now)})
    turn = find_next(session)
    if turn is None:
        return _rest(session, seen, now, rules)
    return _begin(session, turn, seen, now, rules)


def _begin(session: AgenticSession, turn: Turn, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Begin the next turn, or say why it waits or will not run."""
    check = seen.turn
    if check is None or check.name != turn.name:
        return Plan(status=session.status, wake_at=now + timedelta(seconds=1))
    if (refused := find_refusal(session, turn, seen, rules)) is not None:
        return refuse(session, turn, refused, now)
    choice = _choose_workflow(session, seen, rules)
    if not isinstance(choice, Admitted) or check.waits is not None:
        waits = choice if isinstance(choice, Waits) else check.waits
        return _wait(session, waits, now) if waits is not None else Plan()
    snapshot = choice.snapshot
    queued = check_queue(seen.definition, seen.queue)
    note = Event(Reason.TURN_STARTED, f"turn {turn.name} begins", action="Converse")
    if snapshot == session.status.workflow and queued is None and _is_warm(session, seen, now):
        begun = begin_turn(session, turn, now)
        message = f"turn {turn.name} is on; the pod that is there takes it"
        status = change_session(begun, Phase.IDLE, Reason.TURN_STARTED, message, now)
        return Plan(status=status, wake_at=add(now, HANDOVER_PATIENCE), notes=(note,))
    if not find_pending(session, seen.jobs):
        # A Job that was made just before a crash is this turn's.
        if (ending := _let_end(session, seen, now)) is not None:
            return ending
        if queued is not None:
            return _wait(session, queued, now)
    run = last_run(session) + 1
    begun = begin_turn(session, turn, now)
    plan = create_run(
        begun, seen, now, rules, run, snapshot, restarts=None, message=f"run {run} starts with turn {turn.name}"
    )
    return replace(plan, notes=(*plan.notes, note))


def find_refusal(session: AgenticSession, turn: Turn, seen: Observation, rules: Rules) -> Refused | None:
    """Return why a turn that was looked at will not run, as far as is known; None if it may, or waits."""
    if seen.turn is not None and seen.turn.refused is not None:
        return seen.turn.refused
    choice = _choose_workflow(session, seen, rules)
    if isinstance(choice, Admitted):
        return check_contract(choice.snapshot, session) or check_turn(session, turn, choice.snapshot, seen.definition)
    return choice if isinstance(choice, Refused) else None


def _let_end(session: AgenticSession, seen: Observation, now: datetime) -> Plan | None:
    """Return how what is left of the run before comes to its end; None if nothing of it lives."""
    unfinished = [job for job in seen.jobs if not job.is_finished and not is_given_up(job, now)]
    if not unfinished and not find_living(seen.pods, now):
        return None
    over = add(_find_idle_since(session), ENDING_PATIENCE)
    if now < over and not effective_keep_warm(session, find_spec(session.status.workflow, seen.definition)):
        return Plan(status=session.status, wake_at=over)
    message = "the next turn waits until the pod of the one before has ended"
    return wind_down(session, seen, now, Reason.IDLE, message)


def _choose_workflow(session: AgenticSession, seen: Observation, rules: Rules) -> Admitted | Waits | Refused:
    """Return the workflow that the next turn runs: as it is now, or as it was pinned."""
    pinned = session.status.workflow
    if pinned is not None and session.spec.revision == "Pinned":
        return check_pinned(pinned, seen, rules) or Admitted(pinned)
    admission = admit_session(session, seen, rules, is_counted=True)
    if not isinstance(admission, Admitted) or pinned is None:
        return admission
    found = admission.snapshot
    # The digest that the first pod told, where the inspection could not, is that of the same image.
    known = found.model_copy(update={"image_digest": found.image_digest or pinned.image_digest})
    return Admitted(pinned) if known == pinned and found.image == pinned.image else admission


def _is_warm(session: AgenticSession, seen: Observation, now: datetime) -> bool:
    """Return whether a pod is there that waits for the next turn, for a while yet."""
    seconds = effective_keep_warm(session, find_spec(session.status.workflow, seen.definition))
    if session.status.phase is not Phase.IDLE or not seconds or not find_warm(session, seen):
        return False
    return now < add(add_seconds(_find_idle_since(session), seconds), -LEAST_WARMTH)


def _rest(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Wait for the next turn, or end the conversation: no turn is left."""
    if session.status.phase is Phase.SUSPENDED:
        # Nobody could say anything meanwhile.
        at = now.replace(microsecond=0)
        session = session.model_copy(update={"status": session.status.model_copy(update={"resumed_at": at})})
    since = _find_idle_since(session)
    spec = find_spec(session.status.workflow, seen.definition)
    if session.spec.close:
        return _complete(session, seen, now, Reason.CLOSED, "closed by spec.close")
    wakes: list[datetime] = []
    seconds = effective_idle_deadline(session, spec, rules.jobs)
    if seconds is not None:
        if now >= (due := add_seconds(since, seconds)):
            message = f"no turn came for {seconds} seconds"
            return _complete(session, seen, now, Reason.IDLE_DEADLINE_EXCEEDED, message)
        wakes.append(due)
    if session.status.phase is Phase.IDLE and session.status.reason in _RESTING:
        status = refresh_session(session)
    else:
        status = change_session(session, Phase.IDLE, Reason.IDLE, "waits for its next turn", now)
    spent = find_spent(seen.jobs, seen.pods)
    gone = [job for job in find_present(spent) if find_held(job, seen.pods) is None]
    # Made just before a crash, for a turn that was cancelled since.
    gone += [job for job in find_pending(session, seen.jobs) if job not in gone and not job.is_deleting]
    warm = [job for job in find_present(seen.jobs) if job not in spent and job not in gone]
    if warm:
        over = add(add_seconds(since, effective_keep_warm(session, spec)), LINGER)
        if now >= over:
            gone += warm
        else:
            wakes.append(over)
    return Plan(status=status, delete_jobs=list_names(gone), wake_at=min(wakes, default=None))


def _complete(session: AgenticSession, seen: Observation, now: datetime, reason: Reason, message: str) -> Plan:
    if (ending := wind_down(session, seen, now, reason, f"{message}: its pod ends")) is not None:
        return ending
    # By way of Idle: what is not idle does not complete.
    idle = session.model_copy(update={"status": change_session(session, Phase.IDLE, reason, message, now)})
    if session.status.phase is not Phase.IDLE:
        return Plan(status=idle.status, wake_at=now)
    at = now.replace(microsecond=0)
    status = change_session(
        idle, Phase.COMPLETED, reason, message, now, conditions={"Complete": "True"}, completion_time=at
    )
    return Plan(status=status, notes=(Event(reason, message, action="Complete"),))


def refuse(session: AgenticSession, turn: Turn, refused: Refused, now: datetime) -> Plan:
    """Record that a turn will not run; the next pass looks at the one behind it."""
    change = refuse_turn(session, turn, refused.reason, refused.message, now)
    return Plan(status=change.session.status, notes=change.notes, wake_at=now)


def _wait(session: AgenticSession, waits: Waits, now: datetime) -> Plan:
    status = change_session(session, Phase.IDLE, waits.reason, waits.message, now)
    return Plan(status=status, wake_at=now + LOOK_AGAIN, notes=(Event(waits.reason, waits.message, action="Converse"),))


def _find_idle_since(session: AgenticSession) -> datetime:
    """Return since when no turn has been on: the last end, the end of a suspension, or when the session was made."""
    ends = [each.finished_at for each in session.status.turns]
    known = [*ends, session.status.resumed_at, session.metadata.creation_timestamp]
    return max(at for at in known if at is not None)


def find_warm(session: AgenticSession, seen: Observation) -> bool:
    """Return whether the pod of the run that is told may still be there and take a turn."""
    job = find_job(seen, session.status.run)
    if job is None or job.is_deleting or is_withdrawn(session):
        return False
    return job not in find_spent(seen.jobs, seen.pods)
