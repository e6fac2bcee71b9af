"""What a runner's report becomes: decided by the session as it is, by its phase and by the contract. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from agentic_core.contract import RUNNER_FIELDS
from agentic_core.lifecycle import Actor, Phase, is_legal
from agentic_core.names import read_job, read_run, read_session_name
from agentic_core.strict_json import json_pointer
from agentic_core.wire import format_time
from agentic_gateway.auth.pods import CallingPod
from agentic_gateway.kube.client import Json
from agentic_gateway.problems import FieldProblem, Refused

_REASONS: Final = {
    Phase.RUNNING: "Running",
    Phase.WAITING_FOR_INPUT: "WaitingForInput",
    Phase.COMPLETED: "Completed",
    Phase.FAILED: "GraphError",
}


def require_pod_of(session: Json, pod: CallingPod) -> None:
    """Raise ``Refused`` unless the operator recorded this pod for the session's run.

    One that is a moment older than the record gets 503: it may ask again.
    """
    status, name = session.get("status") or {}, session["metadata"]["name"]
    if pod.namespace == session["metadata"]["namespace"] and pod.uid in (status.get("podUids") or ()):
        return
    job = read_job(pod.name)
    is_its_own = pod.namespace == session["metadata"]["namespace"] and read_session_name(job) == name
    if is_its_own and read_run(name, job) >= (status.get("run") or 0):
        raise Refused("unavailable", f"the operator has not recorded pod {pod.name!r} yet", retry_after_seconds=1)
    raise Refused("forbidden", f"pod {pod.name!r} does not run session {name!r}")


def build_report(session: Json, report: Mapping[str, Any], now: datetime) -> Json:
    """Return the changes of the status that a report means.

    Filled in if the report does not say them: times, ``reason``, questions that were asked before, and that answered
    ones were taken up. Raises :class:`Refused`: 400 for fields that are no runner's, 409 for a change of the phase that
    is not a runner's.
    """
    _require_fields(report)
    status = session.get("status") or {}
    old = Phase(status.get("phase") or Phase.PENDING)
    new = _read_phase(report, old)
    if not is_legal(old, new, Actor.RUNNER):
        raise Refused("conflict", f"a runner cannot change phase {old.value} to {new.value}")
    found = dict(report)
    if new is not old and "reason" not in found and new in _REASONS:
        found["reason"] = _REASONS[new]
    if new is Phase.RUNNING and "startTime" not in status:
        found.setdefault("startTime", format_time(now))
    if new in (Phase.COMPLETED, Phase.FAILED):
        found.setdefault("completionTime", format_time(now))
    asked = list(status.get("interrupts") or ())
    if new is Phase.RUNNING and "phase" in report:
        asked = [_take_up(each, now) for each in asked]
    if "interrupts" in found:
        asked = _merge(asked, found["interrupts"], now)
    if asked != (status.get("interrupts") or []):
        found["interrupts"] = asked
    return found


def _require_fields(report: Mapping[str, Any]) -> None:
    foreign = [key for key in report if key not in RUNNER_FIELDS]
    if foreign:
        errors = [
            FieldProblem(pointer=json_pointer([key]), message="this is the operator's to write") for key in foreign
        ]
        known = ", ".join(RUNNER_FIELDS)
        raise Refused("bad-request", f"a runner writes {known}, and nothing else of the status", errors)
    if not report:
        raise Refused("bad-request", "the report is empty: name a phase or another field of the status")


def _read_phase(report: Mapping[str, Any], old: Phase) -> Phase:
    given = report.get("phase", old.value)
    try:
        return Phase(given)
    except ValueError:
        error = FieldProblem(pointer="/phase", message=f"write one of {', '.join(Phase)}")
        raise Refused("bad-request", f"there is no phase {str(given)[:64]!r}", [error]) from None


def _take_up(question: Json, now: datetime) -> Json:
    if not question.get("answeredAt") or question.get("resumedAt"):
        return question
    return {**question, "resumedAt": format_time(now)}


def _merge(asked: Sequence[Json], given: Any, now: datetime) -> list[Json]:
    """Return the questions that were asked before, and those of the report: by their ids."""
    if not isinstance(given, list) or not all(isinstance(each, dict) and _has_id(each) for each in given):
        error = FieldProblem(pointer="/interrupts", message="write a list of {id, prompt, …}")
        raise Refused("bad-request", "interrupts are questions, each with an id", [error])
    merged = {each["id"]: each for each in asked}
    for each in given:
        before = merged.get(each["id"])
        merged[each["id"]] = {**before, **each} if before else {"askedAt": format_time(now), **each}
    return list(merged.values())


def _has_id(question: Json) -> bool:
    found = question.get("id")
    return isinstance(found, str) and bool(found)


def build_input(session: Json) -> Json:
    """Return what a runner is given: the inputs, the turn that is on, the answers, and whether it shall end."""
    spec, status = session.get("spec") or {}, session.get("status") or {}
    answered = {each["id"] for each in status.get("interrupts") or () if each.get("answeredAt")}
    answers = [each for each in status.get("answers") or () if each.get("interruptId") in answered]
    turn = status.get("turn") or {}
    found: Json = {
        "inputs": spec.get("inputs"),
        "run": status.get("run") or 0,
        "phase": status.get("phase") or Phase.PENDING.value,
        "answers": answers,
        "ends": bool(spec.get("stop") or spec.get("suspend") or session["metadata"].get("deletionTimestamp")),
    }
    if turn:
        entry: Json = next((each for each in spec.get("turns") or () if each.get("name") == turn.get("name")), {})
        found["turn"] = {**turn, **{key: entry[key] for key in ("input", "command") if key in entry}}
    return found


def has_news(found: Mapping[str, Any], interrupt_id: str | None) -> bool:
    """Return whether there is what a runner waits for: the answer to that question, to any, or the end."""
    ids = {each["interruptId"] for each in found["answers"]}
    return bool(found["ends"]) or (interrupt_id in ids if interrupt_id is not None else bool(ids))
