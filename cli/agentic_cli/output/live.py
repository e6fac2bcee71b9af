"""The live view of a session: phase, nodes, progress, steps and the last message."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from agentic_cli.model.sessions import Session, parse_time
from agentic_cli.output.durations import format_duration, utc_now
from agentic_cli.output.terminal import printable, wants_colour
from agentic_core.questions import clip_line

_STYLES = {"Completed": "green", "Failed": "red", "Stopped": "yellow", "WaitingForInput": "magenta", "Running": "cyan"}
_MAX_NODES = 30


class LiveView:
    """Draws a session on the terminal's last lines until it is closed; ``pause`` clears them for a question."""

    def __init__(self, nodes: Sequence[str] = (), console: Console | None = None) -> None:
        self._nodes = [node for node in nodes if not node.startswith("__")]
        self._visited: dict[str, None] = {}
        self._session: Session | None = None
        self._console = console or Console(stderr=True, no_color=not wants_colour(sys.stderr), highlight=False)
        self._live = self._open()

    def _open(self) -> Live:
        return Live(console=self._console, get_renderable=self._render, transient=True, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, session: Session) -> None:
        """Draw this state from now on."""
        if session.node:
            self._visited[session.node] = None
        self._session = session

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Clear the view for a dialogue, and draw below it afterwards."""
        self._live.stop()
        try:
            yield
        finally:
            # A Live that is started again believes that its last drawing is still above the cursor, and would erase as
            # many lines of the dialogue.
            self._live = self._open()
            self._live.start()

    def _render(self) -> RenderableType:
        session = self._session
        if session is None:
            return Text("")
        return build_view(session, self._nodes, tuple(self._visited))


def build_view(session: Session, nodes: Sequence[str], visited: Sequence[str]) -> RenderableType:
    """Return the drawing of one state."""
    title = Text.assemble((session.name, "bold"), "  ", (printable(session.phase), _STYLES.get(session.phase, "")))
    if session.reason and session.reason != session.phase:
        title.append(f"  {printable(session.reason)}")
    start = parse_time(session.started_at)
    if start is not None:
        title.append(f"  {format_duration((utc_now() - start).total_seconds())}", style="dim")
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Spinner("dots") if not session.is_final and not session.is_waiting else " ", title)
    lines: list[RenderableType] = [grid]
    shown = [*nodes, *(node for node in visited if node not in nodes)]
    if shown:
        lines.append(_draw_nodes(shown[:_MAX_NODES], set(visited), session.node))
    percent = read_percent(session.progress)
    steps = Text(f"  step {session.steps}" if session.steps else "")
    if percent is not None:
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            Text(" "), ProgressBar(total=100, completed=percent, width=30), Text(printable(session.progress)), steps
        )
        lines.append(bar)
    elif session.steps:
        lines.append(steps)
    if session.message:
        lines.append(Text(f"  {printable(clip_line(session.message, 300))}", style="dim"))
    return Group(*lines)


def _draw_nodes(nodes: Sequence[str], visited: set[str], current: str) -> Text:
    text = Text("  ")
    for index, node in enumerate(nodes):
        if index:
            text.append(" · ", style="dim")
        style = "bold cyan" if node == current else "green" if node in visited else "dim"
        mark = "● " if node == current else "✓ " if node in visited else ""
        text.append(f"{mark}{printable(node)}", style=style)
    return text


def read_percent(progress: str) -> float | None:
    """Return the number of a progress such as ``40%``; None for anything else."""
    try:
        value = float(progress.removesuffix("%"))
    except ValueError:
        return None
    return min(max(value, 0.0), 100.0) if progress.endswith("%") else None
