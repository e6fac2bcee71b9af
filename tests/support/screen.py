"""What a person sees on a terminal after everything that a program wrote to it."""

import re
from dataclasses import dataclass
from typing import Final

_PART: Final = re.compile(r"\x1b\[([0-9;?]*)([a-zA-Z])|\x1b[()][A-Z0-9]|([\r\n\b])|([^\x1b\r\n\b]+)")
_PLAIN: Final = "\x1b[0m"


@dataclass(frozen=True)
class Cell:
    """One character, and the sequences that chose its colours."""

    letter: str = " "
    style: str = ""


def read_screen(written: str) -> list[str]:
    """Return the lines that are left, without colours: cursor movements and erasures are carried out.

    Lines never wrap and never scroll away. Raises ``ValueError`` for a sequence that it does not know.
    """
    return ["".join(cell.letter for cell in line).rstrip() for line in read_cells(written)]


def read_coloured(written: str) -> list[str]:
    """Return the lines that are left, with the sequences that colour them."""
    lines = []
    for cells in read_cells(written):
        text, last = "", ""
        for cell in cells:
            if cell.style != last:
                text, last = f"{text}{_PLAIN}{cell.style}", cell.style
            text += cell.letter
        lines.append(f"{text}{_PLAIN}" if last else text.rstrip())
    return lines


def read_cells(written: str) -> list[list[Cell]]:
    """Return the cells of each line."""
    lines: list[list[Cell]] = [[]]
    row, column, style = 0, 0, ""
    for match in _PART.finditer(written):
        arguments, final, control, text = match.groups()
        count = int(arguments) if arguments and arguments.isdigit() else 1
        if text is not None:
            line = lines[row] + [Cell()] * (column - len(lines[row]))
            lines[row] = line[:column] + [Cell(letter, style) for letter in text] + line[column + len(text) :]
            column += len(text)
        elif control == "\r":
            column = 0
        elif control == "\n":
            row, column = row + 1, 0
            lines += [[] for _ in range(row + 1 - len(lines))]
        elif control == "\b":
            column = max(0, column - 1)
        elif final == "A":
            row = max(0, row - count)
        elif final == "B":
            row += count
            lines += [[] for _ in range(row + 1 - len(lines))]
        elif final == "K":
            lines[row] = [] if arguments == "2" else lines[row][:column]
        elif final == "m":
            style = "" if arguments in ("", "0") else style + match.group()
        elif final not in ("h", "l", None):
            raise ValueError(f"an unknown sequence: {match.group()!r}")
    return lines
