"""The commands of a guide, as its reader would paste them."""

import re
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path

from hack.pages.blocks import reads_like, split_command
from tests.support.commands import ROOT
from tests.support.waiting import PATIENCE_SECONDS

__all__ = ["find_console", "read_commands", "read_consoles", "reads_like", "run_commands", "split_command"]

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONSOLE = re.compile(r"^( *)```console\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def read_commands(page: str) -> list[str]:
    """Return the blocks of shell commands of a page in `docs/`, in their order."""
    return _BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


def run_commands(commands: str, *, env: Mapping[str, str], folder: Path, status: int = 0) -> str:
    """Run a block in a shell that stops at the first failure; return its output, and check its exit code."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env=dict(env),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == status, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def read_consoles(page: str) -> list[list[tuple[str, list[str]]]]:
    """Return the blocks of commands with what they print: for each command its text without remark, and the lines."""
    blocks = []
    for _, text in _CONSOLE.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
        commands = re.split(r"^\$ ", textwrap.dedent(text), flags=re.MULTILINE)[1:]
        # A line that ends in a backslash is continued by the next one.
        lines = [re.sub(r" *\\\n *", " ", command).splitlines() for command in commands]
        blocks.append([(first.split("  #")[0].rstrip(), rest) for first, *rest in lines])
    return blocks


def find_console(page: str, part: str) -> list[tuple[str, list[str]]]:
    """Return the one such block that has a command with this part."""
    (block,) = (block for block in read_consoles(page) if any(part in command for command, _ in block))
    return block
