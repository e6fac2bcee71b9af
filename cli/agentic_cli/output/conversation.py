"""Conversations as text: a table of turns, a transcript, one line of progress. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import click

from agentic_cli.inputs.messages import read_messages, read_said, show_result
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import (
    CANCELED,
    COMPLETED,
    QUEUED,
    Turn,
    find_current,
    find_turn,
    list_pending,
    list_turns,
    owns_result,
)
from agentic_cli.output.durations import format_age, format_duration
from agentic_cli.output.rendering import Row, align, describe_reference
from agentic_cli.output.terminal import printable, show_styled
from agentic_core.questions import clip_line, show_json

HEADER: Final = ("TURN", "NUMBER", "PHASE", "BY", "AGE", "CHECKPOINT", "WHAT")
SHOWN_MESSAGES: Final = 20
NO_REPLIES: Final[Mapping[str, str]] = {}
_SHOWN: Final = 60
_STYLES: Final = {COMPLETED: "green", "Failed": "red", "Refused": "red", CANCELED: "yellow", "Running": "cyan"}


def build_row(turn: Turn, now: datetime) -> Row:
    """Return a turn's line in the table."""
    return (
        turn.name,
        str(turn.number or ""),
        turn.phase + (" (canceling)" if turn.is_canceling and not turn.is_over else ""),
        printable(turn.by),
        format_age(turn.started_at, now) if turn.started_at else "",
        printable(turn.checkpoint),
        printable(clip_line(describe_what(turn), _SHOWN)),
    )


def describe_what(turn: Turn) -> str:
    """Return a turn's error, else its input or command, as text."""
    if turn.error:
        return turn.error
    if "input" in turn.spec:
        return read_said(turn.spec["input"])
    if "command" in turn.spec:
        return show_json(turn.spec["command"])
    return "(goes on from the checkpoint)" if turn.spec else ""


def build_object(session: Session, turn: Turn) -> dict[str, Any]:
    """Return a turn as one JSON object: its entries in spec and status, and its result."""
    built: dict[str, Any] = {"session": session.name, "namespace": session.namespace, **turn.spec, **turn.status}
    built |= {"name": turn.name, "phase": turn.phase}
    if owns_result(session, turn):
        built |= {key: session.status[key] for key in ("result", "resultRef") if key in session.status}
    return built


def describe_history(session: Session, replies: Mapping[str, str] = NO_REPLIES) -> Iterator[str]:
    """Yield the transcript: the messages of the last result, else the turns; then turns that failed, run or wait.

    A status holds one whole result, the last turn's, and small ones of the turns before. That of a graph with a
    messages channel contains all messages. ``replies`` are those of earlier turns, by name, as far as the client has
    seen them.
    """
    messages = read_messages(session.status.get("result"))
    done = max((turn.number for turn in list_turns(session) if turn.phase == COMPLETED), default=0)
    if messages:
        if len(messages) > SHOWN_MESSAGES:
            yield click.style(f"… {len(messages) - SHOWN_MESSAGES} messages before", dim=True)
        for message in messages[-SHOWN_MESSAGES:]:
            yield message.text if message.is_ai else _quote(message.text)
    for turn in list_turns(session):
        if messages and turn.is_over and 0 < turn.number <= done:
            continue
        if turn.spec:
            yield _quote(describe_asked(turn))
        if turn.is_over:
            yield replies.get(turn.name) or describe_end(session, turn)
        else:
            yield click.style(f"({turn.name} {turn.phase})", dim=True)


def describe_turns(session: Session, now: datetime) -> list[str]:
    """Return the table of turns below a session's description; empty without turns."""
    rows = [build_row(turn, now) for turn in list_turns(session)]
    return ["", "Turns:", *(f"  {line}" for line in align([HEADER, *rows]))] if rows else []


def describe_asked(turn: Turn) -> str:
    """Return a turn's input or command as text."""
    if "input" in turn.spec:
        return read_said(turn.spec["input"])
    return show_json(turn.spec["command"]) if "command" in turn.spec else "(goes on from the checkpoint)"


def describe_end(session: Session, turn: Turn, *, is_terminal: bool = True) -> str:
    """Return the reply of a turn that is over, where its result is kept, or its error."""
    if turn.phase != COMPLETED:
        why = f": {turn.error}" if turn.error else ""
        return click.style(show_styled(f"{turn.name} {turn.phase}{why}"), fg=_STYLES.get(turn.phase))
    if not owns_result(session, turn):
        if "result" in turn.status:
            return show_result(turn.status["result"], is_terminal=is_terminal)
        return click.style(f"({turn.name} {turn.phase})", dim=True)
    if "resultRef" in session.status:
        return describe_reference(session.status["resultRef"])
    return show_result(session.status.get("result"), is_terminal=is_terminal)


def describe_progress(session: Session, name: str, seconds: float) -> str:
    """Return a turn's progress on one line: the turn that it waits for, the phase, or the current node."""
    turn, current = find_turn(session, name), find_current(session)
    if turn is not None and current is not None and current.name != name:
        ahead = [each.name for each in list_pending(session)]
        place = ahead.index(name) if name in ahead else 0
        by = f" by {current.by}" if current.by and current.by != turn.by else ""
        parts = [f"waits behind {current.name}{by}" + (f" and {place - 1} more" if place > 1 else "")]
    elif turn is not None and turn.phase == QUEUED and session.phase in ("Idle", "Running"):
        parts = ["Queued"]
    elif session.phase == "Running":
        parts = [session.node or "Running", f"step {session.steps}" if session.steps else "", session.progress]
    else:
        reason = f" ({session.reason})" if session.reason and session.reason != session.phase else ""
        parts = [f"{session.phase}{reason}", clip_line(session.message, 200)]
    if turn is not None and turn.is_canceling:
        parts.insert(0, "canceling")
    return printable(" · ".join([part for part in parts if part] + [format_duration(seconds)]))


def _quote(text: str) -> str:
    """Return a person's words as a quotation."""
    return "\n".join(click.style(f"> {line}", fg="cyan") for line in text.splitlines() or [""])
