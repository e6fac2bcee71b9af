"""Pictures of a terminal for the documentation: what a test really saw there, as SVG."""

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.support.commands import ROOT

IMAGES: Final = ROOT / "docs" / "images"
# `SCREENSHOTS=1 pytest tests/faults/test_recordings.py` writes them anew.
ARE_PICTURES_WANTED: Final = os.environ.get("SCREENSHOTS") == "1"
# Dark on light and on dark pages; each colour can be read on it.
BACKGROUND: Final = (22, 27, 34)
FOREGROUND: Final = (230, 237, 243)
# Black, red, green, yellow, blue, magenta, cyan, white.
COLOURS: Final = [
    (139, 148, 158),
    (255, 123, 114),
    (86, 211, 100),
    (227, 179, 65),
    (121, 192, 255),
    (210, 168, 255),
    (118, 227, 234),
    (201, 209, 217),
]
_THEME: Final = TerminalTheme(BACKGROUND, FOREGROUND, COLOURS)
# Fonts from elsewhere, of which whoever looks at a page asks nobody for any, and who drew it.
_FOREIGN: Final = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
_FONTS: Final = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def draw(lines: Sequence[str], title: str) -> str:
    """Return a picture of lines with the colours of a terminal, without empty lines at their end."""
    last = max(number for number, line in enumerate(lines) if line)
    texts = [Text.from_ansi(line) for line in lines[: last + 1]]
    width = max(text.cell_len for text in texts)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for text in texts:
        console.print(text, no_wrap=True, crop=False)
    # Named by its title, so that the same lines are the same file.
    name = re.sub(r"[^a-z0-9]+", "-", title.lower())
    drawn = console.export_svg(title=title, theme=_THEME, unique_id=f"terminal-{name}")
    own = _FOREIGN.sub("", drawn).replace("Fira Code, monospace", _FONTS)
    # Without blanks at the ends of lines, as all files here.
    return re.sub(r"[ \t]+$", "", own, flags=re.MULTILINE).strip() + "\n"


def write_picture(name: str, lines: Sequence[str], title: str) -> Path | None:
    """Write ``docs/images/{name}.svg`` if pictures are wanted."""
    text = draw(lines, title)
    assert "http" not in text.replace("http://www.w3.org/", "")
    assert str(ROOT) not in text
    if not ARE_PICTURES_WANTED:
        return None
    path = IMAGES / f"{name}.svg"
    path.write_text(text, encoding="utf-8")
    return path
