"""Whether a session may start now, must wait, or never can: references, allow-list, readiness, inputs and the queue."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agentic_core.choices import is_same_json
from agentic_core.conditions import Condition, Reason, find_condition
from agentic_core.contract import MAX_INPUT_BYTES, MAX_PINNED_SPEC_BYTES, TURNS_CONTRACT
from agentic_core.errors import Problem
from agentic_core.input_rules import InputRules, read_rules
from agentic_core.questions import clip_line, show_json
from agentic_core.resources import AgenticSession, RunDefaults, WorkflowSnapshot, WorkflowSpec
from agentic_core.run_settings import (
    RunSettings,
    find_context_problems,
    find_settings_problems,
    find_unknown_settings,
    merge_settings,
)
from agentic_core.strict_json import find_wide_number
from agentic_core.writable_paths import find_mount_problems
from agentic_operator.images import AllowedImages, InvalidImage, parse_image
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.blockers import NOT_STARTED
from agentic_operator.sessions.diagnosis import clip
from agentic_operator.sessions.snapshot import pin_spec

MAX_LISTED_PROBLEMS: Final = 10
# From this version of the contract on, a runner takes variables of sessions.
SESSION_ENV_CONTRACT: Final = 2


@dataclass(frozen=True)
class Admitted:
    """The session may start, with this workflow pinned."""

    snapshot: WorkflowSnapshot


@dataclass(frozen=True)
class Waits:
    """The session waits until something changes that can change."""

    reason: Reason
    message: str
    is_held: bool = False
    """Whether something is wrong that people should see: the session's condition ``Scheduled`` says so, too."""


@dataclass(frozen=True)
class Refused:
    """The session can never start: a person has to change something and make a new one."""

    reason: Reason
    message: str
    may_pass: bool = False
    """Whether the cause may pass by itself: the session waits for a while before it fails."""


Admission = Admitted | Waits | Refused


@dataclass(frozen=True)
class Queue:
    """How full a workflow is, from the point of view of one session."""

    active: int = 0
    """Other sessions that hold a pod."""
    ahead: int = 0
    """Older sessions that wait for one."""
    conversations: int = 0
    """Other conversations of the namespace that were admitted and have not ended."""


def admit_workflow(session: AgenticSession, definition: Definition | None, allowed: AllowedImages) -> Admission:
    """Return whether the workflow that a session names can run it."""
    ref = session.spec.workflow_ref
    if definition is None:
        where = f" in namespace {session.namespace!r}" if ref.kind == "WorkflowDefinition" else ""
        return Waits(
            Reason.WORKFLOW_NOT_FOUND,
            f"/spec/workflowRef/name: there is no {ref.kind} {ref.name!r}{where}; the session starts once there is",
        )
    generation = definition.metadata.generation
    for type_ in ("SchemaValid", "ImageAllowed", "Inspected"):
        found = find_condition(definition.status.conditions, type_)
        is_current = found is not None and found.observed_generation == generation
        if found is None or not is_current or found.status == "Unknown":
            return _wait_for(f"{ref.kind} {ref.name!r}", found if is_current else None)
        if found.status == "False":
            text = f"{ref.kind} {ref.name!r} cannot run: {found.message or found.reason}"
            reason = _reason(found.reason)
            return Refused(reason, clip(text), may_pass=type_ == "Inspected" and reason in NOT_STARTED)
    if (refusal := check_image(definition.spec.image, allowed)) is not None:
        return refusal
    if definition.spec.suspend:
        return Waits(Reason.WORKFLOW_SUSPENDED, f"{ref.kind} {ref.name!r} is suspended; it starts no sessions")
    pinned = pin_spec(definition.spec)
    if pinned is None:
        return Refused(
            Reason.INVALID_SPEC,
            f"{ref.kind} {ref.name!r} says more of its pods than a session can keep,"
            f" {MAX_PINNED_SPEC_BYTES:,} bytes of JSON; move variables into a ConfigMap named in envFrom",
        )
    return Admitted(
        WorkflowSnapshot(
            image=definition.spec.image,
            image_digest=definition.status.image_digest,
            graph=ref.graph or definition.spec.graph,
            generation=generation,
            version=definition.spec.version,
            runner_contract=definition.status.runner_contract,
            spec=pinned,
        )
    )


def _wait_for(named: str, found: Condition | None) -> Waits:
    """Return that a session waits for its workflow, and what keeps the inspection where something does."""
    reason = _reason(found.reason) if found is not None else Reason.NOT_READY
    if found is None or reason in (Reason.NOT_READY, Reason.INSPECTING):
        return Waits(Reason.WORKFLOW_NOT_READY, f"{named} is still being checked; the session starts once it is Ready")
    said = clip(f"{named} is not Ready", f"{found.reason}: {found.message}" if found.message else found.reason)
    return Waits(reason, f"{said}; the session starts once it is Ready", is_held=True)


def _reason(text: str) -> Reason:
    try:
        return Reason(text)
    except ValueError:
        return Reason.NOT_READY


def refuse_pod(problems: Iterable[Problem]) -> Refused | None:
    """Return why a definition's pods may not be as it says; None if they may."""
    found = list(problems)
    return Refused(Reason.POD_NOT_ALLOWED, list_problems(found)) if found else None


def check_image(image: str, allowed: AllowedImages) -> Refused | None:
    """Return the refusal of an image that is none or that the allow-list does not hold."""
    try:
        parsed = parse_image(image)
    except InvalidImage as error:
        return Refused(Reason.IMAGE_NOT_ALLOWED, str(error))
    if allowed.allows(parsed):
        return None
    return Refused(
        Reason.IMAGE_NOT_ALLOWED,
        f"image {image!r} is not allowed; this operator runs {allowed.describe()}",
    )


def check_graph(session: AgenticSession, definition: Definition | None) -> Refused | None:
    """Return the refusal of a graph that neither the definition nor the image's own settings name.

    A session may choose among what an image declares; a module and attribute of any library in it is code of the
    session's choice.
    """
    named = session.spec.workflow_ref.graph
    if definition is None or named is None or ":" not in named or named == definition.spec.graph:
        return None
    return Refused(
        Reason.INVALID_SPEC,
        f"/spec/workflowRef/graph: {named!r} names a module; a session names a graph of the image's langgraph.json, and"
        " a module only as its definition does",
    )


def check_mounts(spec: WorkflowSpec | None) -> Refused | None:
    """Return the refusal of a pinned definition with mounts that an earlier version took."""
    problems = find_mount_problems(spec) if spec is not None else []
    return Refused(Reason.INVALID_SPEC, list_problems(problems)) if problems else None


def check_queue(definition: Definition | None, queue: Queue) -> Waits | None:
    """Return why a session has to queue; None if there is room for it."""
    limit = definition.spec.max_active_sessions if definition is not None else None
    if limit is None or queue.active + queue.ahead < limit:
        return None
    # No exact place: it would change with every session that ends, one write for each that waits.
    return Waits(Reason.QUEUED, f"the workflow runs at most {limit} sessions at once; this one waits its turn")


def check_ceiling(session: AgenticSession, queue: Queue, limit: int) -> Waits | None:
    """Return why a conversation is not admitted yet; None if the namespace has room for it, or no ``limit`` (0)."""
    if not limit or queue.conversations < limit:
        return None
    return Waits(
        Reason.TOO_MANY_CONVERSATIONS,
        f"namespace {session.namespace!r} has {limit} conversations, and the operator's MAX_CONVERSATIONS allows no"
        " more; it begins once one of them has ended (spec.close)",
    )


def is_inspected(session: AgenticSession, definition: Definition) -> bool:
    """Return whether the session runs the graph that was inspected: nothing is known of another one of its image."""
    named = session.spec.workflow_ref.graph
    return named is None or named == definition.spec.graph


def merge_given(session: AgenticSession, definition: Definition) -> RunSettings:
    """Return what the session's runs would be given beside the inputs, had it pinned the definition as it is now."""
    said = definition.spec.defaults or RunDefaults()
    return merge_settings(said.config, said.context, session.spec.config, session.spec.context)


def warn_of_settings(session: AgenticSession, definition: Definition | None) -> str:
    """Return a warning of keys in config and context that look mistyped; empty for none."""
    if definition is None or not is_inspected(session, definition):
        return ""
    status, given = definition.status, merge_given(session, definition)
    found = find_unknown_settings(status.config_schema, status.context_schema, given)
    return clip("; ".join(map(str, found[:MAX_LISTED_PROBLEMS])))


def find_input_rules(session: AgenticSession, definition: Definition) -> InputRules:
    """Return the rules for a session's inputs: the author's schema, else what the inspection saw of the graph.

    Nothing is known of another graph of the same image.
    """
    derived = definition.status.input_schema if is_inspected(session, definition) else None
    return read_rules(definition.spec.input_schema, derived)


def check_deadline(session: AgenticSession, definition: Definition | None) -> Refused | None:
    """Return the refusal of an input deadline without an answer, or with one that its definition does not allow.

    Checked once, before the first run: sessions that an earlier version accepted keep their deadline.
    """
    limit = session.spec.input_deadline
    if limit is None or limit.on_expiry != "Resume":
        return None
    if "value" not in limit.model_fields_set:
        return Refused(
            Reason.INVALID_SPEC, "/spec/inputDeadline/value: onExpiry Resume needs the answer to go on with; give one"
        )
    if (refusal := _refuse_wide(limit.value, "/spec/inputDeadline/value")) is not None:
        return refusal
    allowed = definition.spec.deadline_answers if definition is not None else None
    # Beside an approval rule the author gives the value, and not whoever starts the session.
    is_any = allowed is not None and allowed.any and definition is not None and definition.spec.approval is None
    if allowed is None or not (is_any or any(is_same_json(limit.value, each) for each in allowed.values)):
        ref = session.spec.workflow_ref
        shown = ", ".join(clip_line(show_json(each), 60) for each in allowed.values) if allowed is not None else ""
        what = f"no other answer than {shown}" if shown else "no answer"
        return Refused(
            Reason.INVALID_SPEC,
            clip(
                f"/spec/inputDeadline/value: {ref.kind} {ref.name!r} lets a deadline give {what}, by its"
                " spec.deadlineAnswers; use onExpiry Fail, or have its author allow this one"
            ),
        )
    return None


def check_approval(session: AgenticSession, definition: Definition | None) -> Refused | None:
    """Return the refusal of a session to which its definition's approval rule could not be applied.

    Checked once, before the first run. If the person who started a session may not answer, the session has to name that
    person. A fork continues from a state that its maker chose, possibly after a question: nobody would be asked it.
    """
    rule = definition.spec.approval if definition is not None else None
    if rule is None:
        return None
    ref = session.spec.workflow_ref
    named = f"{ref.kind} {ref.name!r}"
    if rule.not_creator and not session.spec.created_by:
        return Refused(
            Reason.CREATOR_NOT_STATED,
            f"/spec/createdBy: questions of {named} are not answered by whoever starts the session, so it has to say"
            " who that is: make a new one with your name in createdBy, as the API server knows you (kubectl auth"
            " whoami); agentic run does",
        )
    if session.spec.fork_from is not None:
        return Refused(
            Reason.INVALID_SPEC,
            f"/spec/forkFrom: sessions of {named} start from their inputs: it has an approval rule, and a fork could go"
            " on behind a question that nobody answered for it",
        )
    return None


def check_settings(session: AgenticSession, definition: Definition | None) -> Refused | None:
    """Return the refusal of a config or context that no graph may be given, or that this one cannot take."""
    problems = find_settings_problems(session.spec.config, session.spec.context, "/spec")
    if definition is not None and not problems and is_inspected(session, definition):
        problems = find_context_problems(definition.status.context_schema, merge_given(session, definition))
    return Refused(Reason.INVALID_CONFIG, list_problems(problems)) if problems else None


def check_env(session: AgenticSession, definition: Definition | None) -> Refused | None:
    """Return the refusal of variables that the definition does not leave to its sessions.

    Whoever creates a session decides what the workflow is asked; the author decides which code runs, and with which
    variables. So a session sets only what the author lists, and overrides nothing that the author sets.
    """
    given = session.spec.env
    if definition is None or not given:
        return None
    spec, ref = definition.spec, session.spec.workflow_ref
    own = {entry.name for entry in spec.env}
    listed = f"may set {', '.join(map(repr, spec.session_env))} alone" if spec.session_env else "may set no variables"
    problems = []
    for index, entry in enumerate(given):
        place = f"/spec/env/{index}"
        if entry.name in own:
            problems.append(Problem(f"{place}/name", f"{entry.name!r} is set by {ref.kind} {ref.name!r}; leave it out"))
        elif entry.name not in spec.session_env:
            message = f"sessions of {ref.kind} {ref.name!r} {listed}; its author can list {entry.name!r} in sessionEnv"
            problems.append(Problem(f"{place}/name", message))
        if entry.value_from is not None:
            message = "a session names no Secret and no ConfigMap; give a value, or have the definition name it in env"
            problems.append(Problem(f"{place}/valueFrom", message))
    if not problems and (definition.status.runner_contract or 1) < SESSION_ENV_CONTRACT:
        message = (
            f"the image of {ref.kind} {ref.name!r} has a runner that takes no variables of sessions; build it anew on"
            " the current base image"
        )
        problems.append(Problem("/spec/env", message))
    return Refused(Reason.ENV_NOT_ALLOWED, list_problems(problems)) if problems else None


def has_fork_inputs(session: AgenticSession) -> bool:
    """Return whether a fork gives inputs to the thread that it copies, rather than only going on with it."""
    return session.spec.fork_from is not None and session.spec.inputs not in (None, {})


def check_fork(session: AgenticSession, definition: Definition | None) -> Refused | None:
    """Return the refusal of the values that a fork changes, or of its inputs if the image's runner takes none there."""
    fork = session.spec.fork_from
    if fork is None:
        return None
    if (refusal := _refuse_wide(fork.values, "/spec/forkFrom/values")) is not None:
        return refusal
    contract = (definition.status.runner_contract or 1) if definition is not None else TURNS_CONTRACT
    if not has_fork_inputs(session) or contract >= TURNS_CONTRACT:
        return None
    ref = session.spec.workflow_ref
    return Refused(
        Reason.INVALID_INPUT,
        f"/spec/inputs: the image of {ref.kind} {ref.name!r} has a runner that gives no inputs to a fork; build it anew"
        " on the current base image, or leave them out and give the state values to change in forkFrom.values",
    )


def _refuse_wide(value: object, pointer: str) -> Refused | None:
    """Return the refusal of a value with a number that the API server did not keep as it was written."""
    wide = find_wide_number(value)
    return Refused(Reason.INVALID_INPUT, clip(f"{pointer}{wide.pointer}: {wide.message}")) if wide is not None else None


def measure_inputs(session: AgenticSession) -> Refused | None:
    """Return the refusal of inputs over the limit."""
    size = len(json.dumps(session.spec.inputs, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))
    if size <= MAX_INPUT_BYTES:
        return None
    return Refused(
        Reason.INVALID_INPUT,
        f"/spec/inputs: {size:,} bytes of JSON, the limit is {MAX_INPUT_BYTES:,};"
        " put large data where the workflow can fetch it and pass its address",
    )


def refuse_inputs(problems: Iterable[Problem]) -> Refused | None:
    """Return the refusal that names every problem, as pointers into the session; None for no problem."""
    message = list_input_problems(problems)
    return Refused(Reason.INVALID_INPUT, message) if message else None


def list_input_problems(problems: Iterable[Problem]) -> str:
    """Return one text that names every problem of inputs, as pointers into the session; empty for no problem."""
    return list_problems(Problem(f"/spec/inputs{problem.pointer}", problem.message) for problem in problems)


def list_problems(problems: Iterable[Problem]) -> str:
    """Return one text that names every problem by its pointer; empty for no problem."""
    listed = list(problems)
    shown = [str(problem) for problem in listed[:MAX_LISTED_PROBLEMS]]
    if len(listed) > MAX_LISTED_PROBLEMS:
        shown.append(f"and {len(listed) - MAX_LISTED_PROBLEMS} more")
    return clip("; ".join(shown))
