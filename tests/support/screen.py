"""What a person sees on a terminal after everything that a program wrote to it."""

import re
from typing import Final

_PART: Final = re.compile(r"\x1b\[([0-9;?]*)([a-zA-Z])|\x1b[()][A-Z0-9]|([\r\n\b])|([^\x1b\r\n\b]+)")


def read_screen(written: str) -> list[str]:
    """Return the lines that are left, without colours: cursor movements and erasures are carried out.

    Lines never wrap and never scroll away. Raises ``ValueError`` for a sequence that it does not know.
    """
    lines, row, column = [""], 0, 0
    for match in _PART.finditer(written):
        arguments, final, control, text = match.groups()
        count = int(arguments) if arguments and arguments.isdigit() else 1
        if text is not None:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + len(text) :]
            column += len(text)
        elif control == "\r":
            column = 0
        elif control == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif control == "\b":
            column = max(0, column - 1)
        elif final == "A":
            row = max(0, row - count)
        elif final == "B":
            row += count
            lines += [""] * (row + 1 - len(lines))
        elif final == "K":
            lines[row] = "" if arguments == "2" else lines[row][:column]
        elif final not in ("m", "h", "l", None):
            raise ValueError(f"an unknown sequence: {match.group()!r}")
    return [line.rstrip() for line in lines]
