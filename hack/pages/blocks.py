"""Blocks of a page, the commands in them, and what they print. Pure.

A comment right above a block says what Markdown does not:

    <!-- file: agent.py -->            the block is the content of a file
    <!-- status: 4 -->                 its last command ends with this exit status
    <!-- not-run: why it cannot -->    it is left out, and counted
"""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import yaml

_FENCE: Final = re.compile(r"^( *)```([\w-]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NOTE: Final = re.compile(r"<!-- (file|status|not-run): (.+?) -->\s*$")
# Of a checkpoint or an object, and of a question.
_ID: Final = r"(?:\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b)"
_VARYING: Final = re.compile(rf"({_ID}|\d+| +|…)")
SHELL: Final = ("sh", "console")

What = Literal["commands", "manifest", "file", "not-run", "text"]


@dataclass(frozen=True)
class Block:
    """One block between fences."""

    page: str
    line: int
    language: str
    text: str
    note: str = ""
    """The kind of its comment; empty without one."""
    value: str = ""

    @property
    def place(self) -> str:
        """Where it is, as editors take it."""
        return f"{self.page}:{self.line}"

    @property
    def what(self) -> What:
        """What is to be done with it."""
        if self.note in ("file", "not-run"):
            return "file" if self.note == "file" else "not-run"
        if self.language in SHELL:
            return "commands"
        return "manifest" if self.language == "yaml" and is_manifest(self.text) else "text"


@dataclass(frozen=True)
class Command:
    """What a reader types, and the lines that the page shows after it; none are shown if there are none."""

    text: str
    shown: tuple[str, ...] = ()
    status: int = 0


def read_blocks(page: str, text: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    blocks = []
    for found in _FENCE.finditer(text):
        before = text[: found.start()].rstrip("\n").rpartition("\n")[2]
        note = _NOTE.search(before)
        line = text.count("\n", 0, found.start()) + 1
        kind, value = (note[1], note[2]) if note else ("", "")
        blocks.append(Block(page, line, found[2], textwrap.dedent(found[3]), kind, value))
    return blocks


def is_manifest(text: str) -> bool:
    """Return whether each document is a whole object for an API server; a kustomization is for kubectl alone."""
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError:
        return False
    return bool(documents) and all(
        isinstance(each, dict)
        and {"apiVersion", "kind", "metadata"} <= each.keys()
        and not str(each["apiVersion"]).startswith("kustomize")
        for each in documents
    )


def read_commands(block: Block) -> list[Command]:
    """Return the commands of a block; where there are prompts, each with what it prints.

    A block of `sh`, or one without prompts, is one script.
    """
    status = int(block.value) if block.note == "status" else 0
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    if block.language == "sh" or len(parts) == 1:
        return [Command(block.text.rstrip("\n"), (), status)]
    split = [split_command(first, rest) for first, *rest in (part.splitlines() for part in parts[1:])]
    last = len(split) - 1
    return [
        Command(strip_remark(text), tuple(shown), status if at == last else 0) for at, (text, shown) in enumerate(split)
    ]


def split_command(first: str, rest: Sequence[str]) -> tuple[str, list[str]]:
    """Return a command with the lines that belong to it (a here-document, continued lines), and what it prints."""
    lines, shown = [first], list(rest)
    if "<<EOF" in first:
        end = shown.index("EOF") + 1
        lines, shown = [*lines, *shown[:end]], shown[end:]
    while lines[-1].endswith("\\"):
        lines.append(shown.pop(0))
    return "\n".join(lines), shown


def strip_remark(command: str) -> str:
    """Return a command without the remark behind it."""
    return command if "\n" in command else command.split("  #")[0].rstrip()


def reads_like(printed: str, shown: Sequence[str]) -> bool:
    """Return whether a command printed what its page shows, but for numbers and ids; ``…`` stands for anything."""
    parts = _VARYING.split("\n".join(shown))
    # What varies stands between what does not.
    pattern = "".join(_find_pattern(part) if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return re.fullmatch(pattern, printed.strip()) is not None


def _find_pattern(varying: str) -> str:
    if varying == "…":
        return "(?s:.*)"
    if varying.isspace():
        return " +"
    return r"\d+" if varying.isdecimal() else _ID


def count_left_out(blocks: Iterable[Block]) -> dict[str, int]:
    """Return how many blocks are not run, by their reasons."""
    counted: dict[str, int] = {}
    for block in blocks:
        if block.what == "not-run":
            counted[block.value] = counted.get(block.value, 0) + 1
    return counted
