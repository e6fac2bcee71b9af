"""What keeps a run from its Job or pod: the API server's words as a reason, and said once."""

from datetime import timedelta

import pytest

from agentic_core.conditions import Reason, find_condition
from agentic_core.errors import ApiUnavailable, Conflict, DatabaseUnavailable, PermanentError, TransientError
from agentic_core.lifecycle import Phase
from agentic_operator.kube.errors import (
    AdmissionUnavailable,
    Blocked,
    Cause,
    Forbidden,
    NotFound,
    find_cause,
    is_of_policy,
)
from agentic_operator.sessions.blockers import Blocker, find_blocker, hold_session, is_same
from agentic_operator.sessions.status import diff_status
from tests.support.builders import NOW, a_session

RIGHTS = (
    'jobs.batch is forbidden: User "system:serviceaccount:agentic-system:agentic-operator" cannot create resource'
    ' "jobs" in API group "batch" in the namespace "team"'
)
QUOTA = (
    'jobs.batch "s-r1" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=4,'
    " limited: count/jobs.batch=4"
)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (RIGHTS, Cause.RIGHTS),
        (QUOTA, Cause.QUOTA),
        ('pods "x" is forbidden: failed quota: q: must specify limits.cpu for: runner', Cause.QUOTA),
        ('persistentvolumeclaims "x" is forbidden: status unknown for quota: q', Cause.QUOTA),
        (
            'pods "x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi',
            Cause.LIMIT_RANGE,
        ),
        (
            'persistentvolumeclaims "x" is forbidden: minimum storage usage per PersistentVolumeClaim is 5Gi',
            Cause.LIMIT_RANGE,
        ),
        (
            'pods "x" is forbidden: unable to validate against any security context constraint: [provider "r": .x]',
            Cause.USER,
        ),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', Cause.POLICY),
        ("jobs \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", Cause.POLICY),
        ('admission webhook "w.example.com" denied the request: no', Cause.POLICY),
        ('pods "x" is forbidden: error looking up service account a/b: serviceaccount "b" not found', Cause.ACCOUNT),
        ('jobs "x" is forbidden: unable to create new content in namespace a because it is being terminated', "t"),
    ],
)
def test_every_refusal_has_its_cause(said: str, cause: Cause | str) -> None:
    assert find_cause(said) is (Cause.TERMINATING if cause == "t" else cause)


def test_what_is_invalid_is_not_taken_for_a_policys_word() -> None:
    assert not is_of_policy('Job.batch "s" is invalid: spec.template.spec.volumes[0]: Forbidden: may not be set')


@pytest.mark.parametrize(
    ("error", "failures", "reason"),
    [
        (Forbidden(QUOTA), 1, Reason.QUOTA_EXCEEDED),
        (Forbidden(RIGHTS), 1, Reason.FORBIDDEN),
        (Forbidden("", Cause.TERMINATING), 1, Reason.NAMESPACE_TERMINATING),
        (Blocked(Reason.SECRET_MISSING, "make it"), 1, Reason.SECRET_MISSING),
        (DatabaseUnavailable("away"), 1, Reason.DATABASE_UNAVAILABLE),
        (AdmissionUnavailable("failed calling webhook"), 1, Reason.ADMISSION_UNAVAILABLE),
        (PermanentError("no right to make roles"), 1, Reason.NAMESPACE_NOT_PREPARED),
        (NotFound('clusterroles "agentic-runner" not found'), 1, Reason.NAMESPACE_NOT_PREPARED),
        (ApiUnavailable("500"), 3, None),
        (ApiUnavailable("500"), 4, Reason.API_SERVER_UNAVAILABLE),
        (TransientError("somebody else was quicker"), 1, None),
        (TransientError("somebody else was quicker"), 4, Reason.NAMESPACE_NOT_PREPARED),
        (Conflict("changed"), 9, None),
        (ValueError("a fault of ours"), 1, Reason.NAMESPACE_NOT_PREPARED),
    ],
)
def test_every_failure_has_its_reason_and_what_passes_at_once_is_not_told(
    error: Exception, failures: int, reason: Reason | None
) -> None:
    found = find_blocker(error, "team", failures)
    assert (found.reason if found is not None else None) is reason


def test_the_message_names_the_place_and_keeps_its_remedy_however_much_was_said() -> None:
    found = find_blocker(Forbidden(QUOTA + "x" * 5000), "team", 1)
    assert found is not None
    assert found.message.startswith("in namespace 'team': jobs.batch \"s-r1\" is forbidden: exceeded quota: q")
    assert found.message.endswith("raise it, or delete what fills it")
    assert len(found.message) < 2048


def test_an_unexpected_error_is_told_without_its_text() -> None:
    found = find_blocker(ValueError("invalid byte in 'hunter2'"), "team", 1)
    assert found is not None
    assert (
        found.message
        == "in namespace 'team': an unexpected ValueError; it is tried again; the operator's log says more"
    )


def test_it_is_pending_with_a_condition_and_said_once_while_only_numbers_change() -> None:
    session = a_session().build()
    first = hold_session(session, Blocker(Reason.QUOTA_EXCEEDED, "used: pods=4 of 4 by s-r1-x7k"), NOW)
    condition = find_condition(first.conditions, "Scheduled")
    assert (first.phase, first.reason) == (Phase.PENDING, "QuotaExceeded")
    assert condition is not None
    assert (condition.status, condition.reason, condition.message) == ("False", first.reason, first.message)
    held = session.model_copy(update={"status": first})
    later = NOW + timedelta(minutes=1)
    again = hold_session(held, Blocker(Reason.QUOTA_EXCEEDED, "used: pods=5 of 5 by s-r1-b2m"), later)
    assert not diff_status(first, again)
    other = hold_session(held, Blocker(Reason.QUOTA_EXCEEDED, "used: secrets=5 of 5 by s-r1-b2m"), later)
    assert diff_status(first, other)


def test_a_session_that_waits_for_its_next_run_keeps_its_phase() -> None:
    waiting = a_session().waiting("?").build()
    status = hold_session(waiting, Blocker(Reason.QUOTA_EXCEEDED, "full"), NOW)
    assert (status.phase, status.reason) == (Phase.WAITING_FOR_INPUT, "QuotaExceeded")


def test_texts_are_compared_without_what_changes_with_every_try() -> None:
    assert is_same('pods "s-r1-x7k" is forbidden: used 4', 'pods "s-r1-q9z" is forbidden: used 17')
    assert not is_same("Secret 'a' is missing", "Secret 'b' is missing")
