"""Pages as blocks: what is run, applied, written, left out, and how what is printed is compared."""

import re

import pytest

from hack.pages.__main__ import PAGES
from hack.pages.blocks import Command, count_left_out, read_blocks, read_commands, reads_like
from tests.unit.test_layout import ROOT

PAGE = """\
# A page

<!-- file: app/agent.py -->
```python
graph = 1
```

```console
$ ls  # a remark
agent.py
$ cat <<EOF | wc -l
one
EOF
1
$ true
```

<!-- status: 4 -->
```sh
first
second
```

<!-- not-run: it costs money -->
```console
buy
```

```yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
```

```yaml
spec: {a: part}
```

```json
{}
```
"""


def test_a_page_is_blocks_with_their_places_and_what_is_to_be_done() -> None:
    blocks = read_blocks("page.md", PAGE)
    assert [(block.what, block.line) for block in blocks] == [
        ("file", 4),
        ("commands", 8),
        ("commands", 19),
        ("not-run", 25),
        ("manifest", 29),
        ("text", 35),
        ("text", 39),
    ]
    assert (blocks[0].value, blocks[0].text) == ("app/agent.py", "graph = 1\n")
    assert count_left_out(blocks) == {"it costs money": 1}


def test_commands_are_told_from_what_they_print() -> None:
    blocks = read_blocks("page.md", PAGE)
    assert read_commands(blocks[1]) == [
        Command("ls", ("agent.py",)),
        Command("cat <<EOF | wc -l\none\nEOF", ("1",)),
        Command("true"),
    ]
    # A block without prompts is one script, and its comment says how it ends.
    assert read_commands(blocks[2]) == [Command("first\nsecond", (), 4)]


UUID, OTHER = "1f1ecda7-29a0-6286-8002-f4010c81e4f9", "1f1ecdac-c938-6fc0-8002-246a324dd383"


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        ("done in 12 s\n", ["done in 3 s"], True),
        ("NAME    AGE", ["NAME  AGE"], True),
        ("Completed", ["Failed"], False),
        (f"{OTHER}  2", [f"{UUID}  1"], True),
        ("nothing  2", [f"{UUID}  1"], False),
        ("a\nb\nc", ["a", "…", "c"], True),
        ("(a.c)", ["(a.c)"], True),
        ("(abc)", ["(a.c)"], False),
    ],
)
def test_what_is_printed_is_compared_but_for_numbers_ids_and_dots(printed: str, shown: list[str], same: bool) -> None:
    assert reads_like(printed, shown) is same


@pytest.mark.parametrize("page", PAGES)
def test_every_block_that_is_not_run_says_why(page: str) -> None:
    blocks = read_blocks(page, (ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    assert all(len(block.value) > len("a reason") for block in blocks if block.what == "not-run")


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_comments_of_blocks_stand_right_above_one(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    notes = re.findall(r"^<!-- (?:file|status|not-run): .*$", text, re.MULTILINE)
    assert len(notes) == sum(bool(block.note) for block in read_blocks(page, text))
