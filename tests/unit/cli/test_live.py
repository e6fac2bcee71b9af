"""The live view: what stays on the screen."""

import io

from rich.console import Console

from agentic_cli.model.sessions import parse_session
from agentic_cli.output.live import LiveView
from tests.support.raw_sessions import a_raw_session, a_waiting_session
from tests.support.screen import read_screen

NODES = ("load", "detect", "report")


def test_a_dialogue_stays_on_the_screen_while_the_view_goes_on() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100, color_system=None)
    running = parse_session(a_raw_session(status={"phase": "Running", "steps": 2, "progress": "25%"}))
    with LiveView(NODES, console) as view:
        for number in range(5):
            view.show(parse_session(a_waiting_session()))
            with view.pause():
                written.write(f"? Question {number}\nanswer: yes\n  answered i{number}\n")
            view.show(running)
    said = [line for number in range(5) for line in (f"? Question {number}", "answer: yes", f"  answered i{number}")]
    assert [line for line in read_screen(written.getvalue()) if line] == said
