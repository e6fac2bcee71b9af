"""Describes sessions and workflows as text: tables, descriptions, one line for each change. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from agentic_cli.inputs.forms import list_fields
from agentic_cli.inputs.questions import AskedQuestion, read_question
from agentic_cli.model.sessions import (
    UNTAKEN,
    UNTAKEN_SECONDS,
    Interrupt,
    Session,
    Workflow,
    parse_time,
)
from agentic_cli.model.turns import CONVERSATION, find_current
from agentic_cli.output.durations import format_age, format_duration
from agentic_cli.output.terminal import printable
from agentic_core.approvals import describe_needed
from agentic_core.contract import MAX_INLINE_RESULT_BYTES
from agentic_core.inboxes import APPROVALS_MISSING, find_refusal
from agentic_core.questions import clip_line, show_json

Row = tuple[str, ...]

_SHOWN_RESULT: Final = 2000
_SHOWN_LINES: Final = 40
_SHORT_LINE: Final = 72
_LONGEST_LINE: Final = 400
# What each condition has as its status if something is wrong.
_PROBLEMS: Final = {
    "InputAccepted": "False",
    "InputsKnown": "False",
    "Scheduled": "False",
    "TrailKept": "False",
    "CheckpointsLost": "True",
}
_OF_LIVE_SESSIONS: Final = frozenset({"InputAccepted", "Scheduled"})


def read_table(page: Mapping[str, Any], *, wide: bool) -> tuple[Row, list[tuple[str, Row]]]:
    """Return the header and the rows (each with its namespace) of a list in the API server's own Table form."""
    columns = page.get("columnDefinitions") or ()
    shown = [index for index, column in enumerate(columns) if wide or not column.get("priority")]
    header = tuple(str(columns[index]["name"]).upper() for index in shown)
    rows = []
    for row in page.get("rows") or ():
        cells = tuple(_show_cell(row["cells"][index]) for index in shown)
        metadata = (row.get("object") or {}).get("metadata") or {}
        rows.append((str(metadata.get("namespace") or ""), cells))
    return header, rows


def _show_cell(value: Any) -> str:
    return "" if value is None else printable(str(value))


def strip_noise(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as kubectl prints it: without the record of who set which field."""
    metadata = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    return {**raw, "metadata": metadata}


def describe_session(session: Session, now: datetime, *, has_result: bool = True) -> list[str]:
    """Return the description of a session for people, in lines; ``has_result`` False omits the result."""
    start, end = parse_time(session.started_at), parse_time(session.completed_at)
    duration = format_duration(((end or now) - start).total_seconds()) if start else ""
    kind = " (cluster)" if session.workflow_kind == "ClusterWorkflowDefinition" else ""
    snapshot, fork = session.status.get("workflow") or {}, session.spec.get("forkFrom") or {}
    pairs = [
        ("Name", session.name),
        ("Namespace", session.namespace),
        ("Title", session.spec.get("displayName") or ""),
        ("Workflow", f"{session.workflow}{kind}"),
        ("Version", snapshot.get("version") or ""),
        ("Image", snapshot.get("imageDigest") or snapshot.get("image") or ""),
        ("Forked from", " at ".join(part for part in (fork.get("session"), fork.get("checkpointId")) if part)),
        ("Mode", _describe_mode(session)),
        ("Phase", session.phase),
        ("Reason", session.reason if session.reason != session.phase else ""),
        ("Message", session.message or describe_untaken(session, now)),
        ("Node", session.node),
        ("Progress", session.progress),
        ("Steps", str(session.steps) if session.steps else ""),
        ("Run", str(session.run) if session.run else ""),
        ("Checkpoint", session.status.get("checkpointId") or ""),
        ("Age", format_age(session.created_at, now)),
        ("Duration", duration),
        ("Inputs", clip_line(show_json(session.spec["inputs"]), 200) if "inputs" in session.spec else ""),
    ]
    lines = _columns((label, value) for label, value in pairs if value)
    lines += _describe_error(session)
    lines += _describe_conditions(session)
    for interrupt in session.interrupts:
        lines += ["", *_describe_question(interrupt.is_open, read_question(interrupt), interrupt.answered_by)]
        lines += [f"  needs:   {printable(needed)}"] if (needed := _describe_needed(session, interrupt)) else []
    lines += _describe_result(session) if has_result else []
    if session.open_interrupts:
        lines += ["", f"answer with: agentic respond {session.name} -n {session.namespace}"]
    return lines


def describe_untaken(session: Session, now: datetime) -> str:
    """Return what to look at if no operator has written a phase for a while; empty otherwise."""
    created = parse_time(session.created_at)
    if session.is_taken_up or created is None or (now - created).total_seconds() < UNTAKEN_SECONDS:
        return ""
    return UNTAKEN.format(namespace=session.namespace)


def _describe_conditions(session: Session) -> list[str]:
    """Return the conditions that report a problem beyond reason and message."""
    lines = []
    for each in session.status.get("conditions") or ():
        status, reason, message = (str(each.get(key) or "") for key in ("status", "reason", "message"))
        is_problem = _PROBLEMS.get(each.get("type")) == status
        is_over = session.is_final and each.get("type") in _OF_LIVE_SESSIONS
        if is_problem and not is_over and reason != APPROVALS_MISSING and message != session.message:
            text = (
                f"{each['type']}={status} ({reason}): {message}" if message else f"{each['type']}={status} ({reason})"
            )
            lines += _columns([("Condition", text)])
    return lines


def describe_refusal(session: Session) -> str:
    """Return why the last answers were not all accepted; empty if they were."""
    condition = find_refusal(session.status, session.raw.get("metadata") or {})
    if condition is None:
        return ""
    return printable(f"answer refused ({condition.get('reason')}): {condition.get('message') or 'no reason given'}")


def _describe_mode(session: Session) -> str:
    mode, count = session.spec.get("mode") or "", session.status.get("turnCount") or 0
    if mode != CONVERSATION:
        return str(mode)
    current = find_current(session)
    parts = [mode, f"{count} turn{'' if count == 1 else 's'}", "" if current is None else f"{current.name} is on"]
    return ", ".join([part for part in parts if part] + (["closing"] if session.spec.get("close") else []))


def _describe_error(session: Session) -> list[str]:
    error = session.status.get("error") or {}
    if not error:
        return []
    node = f" in node {error['node']}" if error.get("node") else ""
    return [f"Error:       {printable(str(error.get('type', '')))}{printable(node)}"]


def _describe_question(is_open: bool, question: AskedQuestion, answered_by: str) -> list[str]:
    state = "Question" if is_open else f"Answered by {answered_by or 'somebody (not stated)'}"
    lines = [
        f"{printable(state)}: {printable(clip_line(question.prompt, 400))}",
        f"  id:      {printable(question.id)}",
    ]
    if question.node:
        lines.append(f"  node:    {printable(question.node)}")
    if is_open:
        lines += [f"  {line}" for line in describe_details(question.details)]
        lines.append(f"  digest:  {question.digest}")
    if question.options:
        lines.append(f"  options: {printable(', '.join(option.label for option in question.options))}")
    for action in question.review.actions if question.review is not None else ():
        call = f"{action.name}({show_json(action.arguments)})"
        lines.append(f"  action:  {printable(clip_line(call, 200))} [{printable('/'.join(action.decisions))}]")
    if is_open and question.schema is not None:
        names = ", ".join(field.name for field in list_fields(question.schema))
        lines.append(f"  answer:  {printable(names or show_json(question.schema))}")
    return lines


def describe_details(details: Mapping[str, Any] | None) -> list[str]:
    """Return the data of a question in lines: short values beside their name, others below it, indented."""
    lines: list[str] = []
    for name, value in (details or {}).items():
        text = value if isinstance(value, str) else show_json(value)
        if "\n" not in text and len(name) + len(text) <= _SHORT_LINE:
            lines.append(printable(f"{name}: {text}"))
            continue
        whole = text if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        shown = whole.splitlines()
        lines.append(printable(f"{name}:"))
        lines += [f"  {printable(line[:_LONGEST_LINE])}" for line in shown[:_SHOWN_LINES]]
        if len(shown) > _SHOWN_LINES:
            lines.append(f"  … {len(shown) - _SHOWN_LINES} more lines")
    return lines


def _describe_result(session: Session) -> list[str]:
    if reference := session.status.get("resultRef"):
        return ["", printable(describe_reference(reference))]
    if "result" not in session.status:
        return []
    text = json.dumps(session.status["result"], indent=2, ensure_ascii=False)
    lines = [printable(line) for line in text[:_SHOWN_RESULT].splitlines()]
    if len(text) > _SHOWN_RESULT:
        lines.append(f"… {len(text) - _SHOWN_RESULT} more characters: agentic result {session.name}")
    return ["", "Result:", *lines]


def describe_reference(reference: Mapping[str, Any]) -> str:
    """Return where a result is that is too large for the status."""
    size, digest, url = reference.get("size", 0), reference.get("sha256", ""), reference.get("url", "")
    is_large = not isinstance(size, int) or size > MAX_INLINE_RESULT_BYTES
    why = "is too large for the status" if is_large else "has integers that the status cannot keep"
    return f"the result ({size} bytes, sha256 {digest}) {why}; it is kept at {url}"


def describe_change(session: Session) -> str:
    """Return a session's state as one line, for output that nobody looks at while it grows."""
    parts = [session.phase]
    if session.reason and session.reason != session.phase:
        parts.append(f"({session.reason})")
    if (current := find_current(session)) is not None:
        parts.append(f"turn {current.name}")
    if session.steps:
        parts.append(f"step {session.steps}")
    if session.node and not session.is_final:
        parts.append(f"node {session.node}")
    if session.progress:
        parts.append(session.progress)
    if session.message:
        parts.append(f"- {clip_line(session.message, 300)}")
    return printable(" ".join(parts))


def describe_open_questions(session: Session) -> Iterator[str]:
    """Yield a line for each question that waits for an answer."""
    for interrupt in session.open_interrupts:
        question = read_question(interrupt)
        options = f" [{'/'.join(option.label for option in question.options)}]" if question.options else ""
        needed = _describe_needed(session, interrupt)
        told = f" ({clip_line(needed, 300)})" if needed else ""
        yield printable(f"question {question.id}: {clip_line(question.prompt, 200)}{options}{told}")


def _describe_needed(session: Session, interrupt: Interrupt) -> str:
    """Return whose answers an open question needs; empty if anybody may answer."""
    if not interrupt.is_open or interrupt.approval is None:
        return ""
    return describe_needed(interrupt.approval, session.creator, session.asker)


def describe_workflow(workflow: Workflow, now: datetime) -> list[str]:
    """Return the description of a definition for people: whether it can run, its graph and its inputs."""
    ready = workflow.find_condition("Ready")
    state = str(ready.get("status") or "Unknown")
    limits = workflow.spec.get("defaults") or {}
    pairs = [
        ("Name", workflow.name),
        ("Namespace", workflow.namespace or "(all: ClusterWorkflowDefinition)"),
        ("Title", workflow.spec.get("displayName") or ""),
        ("Description", clip_line(str(workflow.spec.get("description") or ""), 400)),
        ("Version", workflow.spec.get("version") or ""),
        ("Tags", ", ".join(workflow.spec.get("tags") or ())),
        ("Image", workflow.spec.get("image") or ""),
        ("Graph", workflow.spec.get("graph") or ""),
        ("LangGraph", workflow.status.get("langgraphVersion") or ""),
        ("Ready", state if state == "True" else f"{state} ({ready.get('reason') or 'not looked at yet'})"),
        ("Message", "" if state == "True" else str(ready.get("message") or "")),
        ("Active", str(workflow.status.get("activeSessions") or "")),
        ("Defaults", ", ".join(f"{key} {value}" for key, value in limits.items())),
        ("Age", format_age(workflow.raw["metadata"].get("creationTimestamp", ""), now)),
    ]
    lines = _columns((label, value) for label, value in pairs if value)
    if workflow.edges:
        lines += ["", "Graph:", *(f"  {printable(edge)}" for edge in workflow.edges)]
    if workflow.input_schema is not None:
        lines += ["", "Inputs:", *_describe_inputs(workflow)]
    return lines


def describe_inspection(workflow: Workflow) -> list[str]:
    """Return the state of a definition's inspection, in a line: why its pod does not start, or that it runs."""
    inspected = workflow.find_condition("Inspected")
    message = str(inspected.get("message") or "")
    return _columns([("Inspection", f"{inspected.get('reason')}: {message}")]) if message else []


def _describe_inputs(workflow: Workflow) -> list[str]:
    fields = list_fields(workflow.input_schema, workflow.spec.get("uiSchema"))
    if not fields:
        return [f"  {printable(show_json(workflow.input_schema))}"]
    rows = []
    for field in fields:
        kind = "|".join(show_json(choice) for choice in field.choices) or "|".join(sorted(field.types)) or "any"
        need = "required" if field.is_required else ""
        default = f"default {show_json(field.default)}" if field.has_default else ""
        rows.append((field.name, clip_line(kind, 60), need or default, clip_line(field.description, 80)))
    return [f"  {line}" for line in align(rows)]


def align(rows: Sequence[Row]) -> list[str]:
    """Return rows as lines with columns of even width."""
    if not rows:
        return []
    printed = [tuple(printable(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in printed) for column in range(len(printed[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in printed]


def _columns(pairs: Iterable[tuple[str, Any]]) -> list[str]:
    return [f"{label + ':':<12} {printable(str(value))}" for label, value in pairs]
