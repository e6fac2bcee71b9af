"""The tutorial on a terminal, with a real operator and real runners: its pictures show what was printed here.

``SCREENSHOTS=1`` writes the pictures anew.
"""

import asyncio
from pathlib import Path

import pytest

from agentic_core.lifecycle import Phase
from hack.cluster.controlplane import ControlPlane
from hack.pages.blocks import read_blocks
from tests.faults.bed import Bed, open_bed
from tests.support.commands import ROOT
from tests.support.person import Person, Terminal
from tests.support.postgres import PostgresDatabase
from tests.support.recording import BACKGROUND, COLOURS, FOREGROUND, draw, write_picture
from tests.support.screen import read_coloured, read_screen

PAGE = "docs/tutorial.md"
IMAGE = "registry.example.com/team-a/trip:1"
NAMESPACE = "team-a"
RUN = ("run", "trip", "-p", "city=Rome", "-p", "nights=3", "--name", "rome", "--watch")


async def define_trip(bed: Bed) -> None:
    """Register the tutorial's project, as its page has it."""
    folder = bed.folder / "trip"
    folder.mkdir()
    for block in read_blocks(PAGE, (ROOT / PAGE).read_text(encoding="utf-8")):
        if block.what == "file" and block.value in ("agent.py", "langgraph.json"):
            (folder / block.value).write_text(block.text, encoding="utf-8")
    bed.kubelet.images[IMAGE] = folder
    await bed.define("trip", image=IMAGE)


def show(person: Person, *arguments: str) -> list[str]:
    """Return a command as it is typed, and what it prints on a terminal."""
    with person.terminal(*arguments) as terminal:
        assert terminal.end() == 0
        return [type_command(*arguments), *read_lines(terminal)]


def read_lines(terminal: Terminal) -> list[str]:
    """Return what stands there at the end, and one empty line."""
    lines = read_coloured(terminal.raw)
    while lines and not lines[-1]:
        lines.pop()
    return [*lines, ""]


def type_command(*arguments: str) -> str:
    return f"$ agentic {' '.join(arguments)}"


async def test_the_tutorials_session_is_watched_answered_and_listed(
    plane: ControlPlane, database: PostgresDatabase, tmp_path: Path
) -> None:
    async with open_bed(plane, database, tmp_path, NAMESPACE) as bed:
        await bed.operator()
        await define_trip(bed)
        ann = Person.using(plane.kubeconfig_for_user("ann", groups=["system:masters"], namespace=NAMESPACE))

        def work() -> None:
            with ann.terminal(*RUN) as terminal:
                terminal.expect("? Book 3 nights in Rome?")
                terminal.expect("answer:")
                listed = show(ann, "list")
                terminal.type("yes")
                terminal.expect("rome Completed")
                assert terminal.end() == 0
                screen, shown = read_screen(terminal.raw), read_lines(terminal)
            for line in (
                "agenticsession/rome created",
                "? Book 3 nights in Rome?",
                "  1) yes",
                "  2) no",
                "answer: yes",
            ):
                assert line in screen, screen
            assert "Book 3 nights in Rome? (yes / no)" in listed[2]
            result, got = show(ann, "result", "rome"), show(ann, "get", "rome")
            assert '  "plan": "3 nights in Rome"' in result
            assert "Answered by ann: Book 3 nights in Rome?" in got
            write_picture("terminal-run", [type_command(*RUN), *shown, *result], "agentic run --watch")
            write_picture("terminal-list", [*listed, *got], "agentic list, agentic get")

        await asyncio.to_thread(work)
        await bed.wait_phase("rome", Phase.COMPLETED)
        await bed.check()


def test_a_picture_is_as_the_terminal_was_and_loads_nothing() -> None:
    screen = read_coloured("\x1b[1mbold\x1b[0m \x1b[31mred\x1b[0m\r\nthe old one\r\x1b[2Kafter it & <all>\r\n")
    text = draw(screen, "agentic run")
    assert text == draw(screen, "agentic run")
    for part in (">bold<", ">red<", "after&#160;it&#160;&amp;&#160;&lt;all&gt;", "font-weight: bold"):
        assert part in text
    assert "old" not in text.replace("bold", "")
    assert "font-face" not in text
    assert "://" not in text.replace("http://www.w3.org/", "")


def measure_luminance(colour: tuple[int, int, int]) -> float:
    parts = [value / 255 for value in colour]
    red, green, blue = (value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", [FOREGROUND, *COLOURS])
def test_each_colour_can_be_read(colour: tuple[int, int, int]) -> None:
    assert (measure_luminance(colour) + 0.05) / (measure_luminance(BACKGROUND) + 0.05) >= 4.5
