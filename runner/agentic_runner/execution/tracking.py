"""Tracks a graph's stream: node, progress and custom events.

LangGraph's stream parts go in, our events come out. Never a checkpoint's state: events are small and safe to show.
"""

import json
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from agentic_core.contract import MAX_HISTORY
from agentic_core.resources.session import HistoryEntry
from agentic_runner.execution.history import join_nodes
from agentic_runner.execution.message_stream import MessageStream
from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.output.redaction import bounded, describe

STREAM_MODES: Final = ("tasks", "checkpoints", "custom", "values")
MESSAGES: Final = "messages"

MAX_CUSTOM_BYTES: Final = 8 * 1024
_MAX_NAME: Final = 256


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    current_node: str | None = None
    progress: str | None = None
    message: str | None = None
    steps: int = 0
    checkpoint_id: str | None = None
    history: tuple[HistoryEntry, ...] = ()
    """The last checkpoints that were seen, oldest first."""


def keep_saved(progress: Progress, saved: str | None) -> Progress:
    """Return how far a run is by what is saved: up to the checkpoint ``saved``, of which ids are ordered by time.

    The stream shows a checkpoint as it is made. Reported before it is saved, it would count as lost where the process
    dies in between.
    """
    if progress.checkpoint_id is None or (saved is not None and progress.checkpoint_id <= saved):
        return progress
    history = tuple(entry for entry in progress.history if saved is not None and entry.id <= saved)
    ahead = (progress.history[-1].step or 0) - (history[-1].step or 0) if history else progress.steps
    return replace(
        progress,
        steps=max(0, progress.steps - ahead),
        checkpoint_id=history[-1].id if history else None,
        history=history,
    )


class Tracker:
    """Follows one stream. ``first_step`` is the number that LangGraph gives the first super-step of nodes."""

    def __init__(self, *, first_step: int = 1, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._history: deque[HistoryEntry] = deque(maxlen=MAX_HISTORY)
        self._finished: list[str] = []
        self._first_step = first_step
        self._running: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._last_node: str | None = None
        self._messages = MessageStream()
        self._progress: str | None = None
        self._share = 0.0
        self._message: str | None = None
        self._steps = 0
        self.checkpoint_id: str | None = None
        self.is_finished = False
        self.output: Any = None
        self.has_started = False
        """Whether a node of the author's ran: before that, an error is about the inputs."""
        self.failure: tuple[str, BaseException] | None = None
        self.has_stepped = False
        """Whether there was a checkpoint, and with it perhaps another output, since somebody set it to false."""
        self.has_news = False
        """Whether there was anything but messages since somebody set it to false: these change no progress."""

    @property
    def progress(self) -> Progress:
        return Progress(
            current_node=next(reversed(self._running.values()), self._last_node),
            progress=self._progress,
            message=self._message,
            steps=self._steps,
            checkpoint_id=self.checkpoint_id,
            history=tuple(self._history),
        )

    def find_node(self, task_id: str) -> str | None:
        """Return the node of a task of this super-step, also in a subgraph; None without one."""
        return self._nodes.get(task_id)

    def see(self, namespace: tuple[str, ...], mode: str, data: Any) -> list[StreamEvent]:
        """Take one part of the stream and return the events that it is worth."""
        if mode == MESSAGES:
            message, metadata = data
            return self._messages.see(_join_path(namespace, metadata.get("langgraph_node") or ""), message, metadata)
        self.has_news = True
        if mode == "tasks":
            return self._see_task(namespace, data)
        if mode == "custom":
            return [self._see_custom(namespace, data)]
        if namespace:
            return []  # a subgraph's checkpoints and values are its parent's business
        if mode == "checkpoints":
            self.has_stepped = True
            self._see_checkpoint(data)
        elif mode == "values":
            self.output = data
        return []

    def _see_task(self, namespace: tuple[str, ...], task: Mapping[str, Any]) -> list[StreamEvent]:
        path = _join_path(namespace, task["name"])
        about = {"node": path, "task": task["id"]}
        if "result" not in task and "error" not in task:
            self.has_started = True
            self._running[task["id"]] = self._nodes[task["id"]] = self._last_node = path
            return [StreamEvent("node_started", about)]
        self._running.pop(task["id"], None)
        # What a node was saying ends before the node does.
        said = self._messages.end_task(task["id"])
        return [*said, *self._end_task(namespace, path, about, task)]

    def _end_task(
        self, namespace: tuple[str, ...], path: str, about: dict[str, Any], task: Mapping[str, Any]
    ) -> list[StreamEvent]:
        if (error := task.get("error")) is not None:
            if isinstance(error, BaseException) and not namespace:
                self.failure = (path, error)
            text = describe(error) if isinstance(error, BaseException) else str(error)
            return [StreamEvent("node_failed", {**about, "error": bounded(text, 1024)})]
        if interrupts := task.get("interrupts"):
            return [StreamEvent("interrupt", {**about, "interrupt": each["id"]}) for each in interrupts]
        if not namespace:
            self._finished.append(task["name"])
        return [StreamEvent("node_finished", about)]

    def _see_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        self.checkpoint_id = checkpoint["config"]["configurable"].get("checkpoint_id")
        self.is_finished = not checkpoint["next"]
        step = (checkpoint.get("metadata") or {}).get("step", -1)
        self._steps = max(0, step - self._first_step + 1)
        if self.checkpoint_id is not None:
            self._history.append(
                HistoryEntry(
                    id=self.checkpoint_id,
                    step=step,
                    node=join_nodes(self._finished),
                    next=join_nodes(checkpoint["next"]),
                    at=self._now().replace(microsecond=0),
                )
            )
        self._finished.clear()
        self._nodes = dict(self._running)

    def _see_custom(self, namespace: tuple[str, ...], data: Any) -> StreamEvent:
        node = "/".join(part.partition(":")[0] for part in namespace) or None
        if (share := _share(data)) is not None:
            # Nodes at once, and one that runs again, may be behind what was told.
            share = self._share = max(share, self._share)
            self._progress = f"{math.floor(share * 100)}%"
            self._message = bounded(str(message), _MAX_NAME) if (message := data.get("message")) is not None else None
            at = next(reversed(self._running.values()), self._last_node)
            said = {
                "progress": share,
                **({"message": self._message} if self._message else {}),
                **({"node": at} if at else {}),
            }
            return StreamEvent("progress", said, is_droppable=True)
        return StreamEvent("custom", {"data": small_json(data), **({"node": node} if node else {})})


def _join_path(namespace: tuple[str, ...], name: str) -> str:
    return bounded("/".join([*(part.partition(":")[0] for part in namespace), name]), _MAX_NAME)


def _share(data: Any) -> float | None:
    """Return the progress of ``{"progress": 0..1}``; None for anything else."""
    value = data.get("progress") if isinstance(data, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    return None


def small_json(value: Any) -> Any:
    """Return ``value`` as plain JSON if that is small, else its size as text."""
    try:
        text = json.dumps(value, default=repr, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return {"text": bounded(repr(type(value)), _MAX_NAME)}
    if len(text) > MAX_CUSTOM_BYTES:
        return {"truncated": True, "size": len(text)}
    return json.loads(text.replace("\\u0000", "\\ufffd"))
