"""What people are shown holds nothing that steers, turns or hides, and stays readable."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.display import cut, escape_json, find_hidden, hides, show_line, show_text
from agentic_core.questions import clip_line, read_question

# Of Unicode's category Cf, signs of everyday Arabic that are drawn.
DRAWN = {*range(0x600, 0x606), 0x6DD}
# What is invisible and in another category: fillers, selectors, joiners of graphemes.
FILLERS = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0}
FILLERS |= {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
STEERING = (
    "\x00\x07\x08\x1b\x7f\x85\x9b\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\U000e0041"
)
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(STEERING + "\u200c\u200d\ufe0f\u0915\u094d👩💻ma\\u2")))


def test_every_character_that_hides_is_shown_by_its_number() -> None:
    missed = []
    for number in range(0x110000):
        category = unicodedata.category(chr(number))
        is_hidden = category in ("Cc", "Cs", "Co", "Zl", "Zp") or (category == "Cf" and number not in DRAWN)
        is_nonchar = number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF
        wanted = (is_hidden and chr(number) not in "\n\t") or is_nonchar or number in FILLERS
        if category == "Cn" and not is_nonchar:
            continue
        if hides(f"a{chr(number)}b") is not wanted:
            missed.append(hex(number))
    assert missed == []


@given(TEXTS)
def test_what_is_shown_hides_nothing_and_shows_itself(text: str) -> None:
    shown = show_text(text)
    assert find_hidden(shown) == []
    assert show_text(shown) == shown
    shown.encode()
    line = show_line(text)
    assert not set(line) & set(STEERING + "\n\t")
    assert show_line(line) == line


@given(TEXTS, st.integers(1, 40))
def test_what_is_cut_off_hides_nothing_either(text: str, limit: int) -> None:
    shown = cut(show_text(text), limit)
    assert len(shown) <= limit
    assert not hides(shown)
    assert not hides(clip_line(text, limit))


@given(st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8))
def test_json_keeps_its_value(value: object) -> None:
    text = escape_json(json.dumps(value, ensure_ascii=False))
    assert not hides(text)
    assert json.loads(text) == value


@given(st.one_of(TEXTS, st.fixed_dictionaries({"prompt": TEXTS, "options": st.lists(TEXTS, min_size=1)})))
def test_a_question_hides_nothing_and_its_answers_are_exact(value: object) -> None:
    question = read_question(value)
    assert not hides(question.prompt)
    assert not any(hides(option.label) for option in question.options)
    if isinstance(value, dict):
        assert {option.value for option in question.options} <= set(value["options"])


@pytest.mark.parametrize(
    "text",
    [
        "مرحبا بالعالم",
        "שלום עולם",
        "می\u200cخواهم",
        "क्\u200dष and क्\u200cष",
        "👩\u200d💻 and 🏳\ufe0f\u200d🌈 and 👨\u200d👩\u200d👧",
        "1\ufe0f\u20e3 ❤\ufe0f ☎\ufe0e",
        "葛\U000e0100",
        "«\u00a0non\u00a0»\u3000日本語",
        "naïve — Zürich, e\u0301",
        "two\nlines\tand a tab",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert show_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("approve \u202eeno\u202c", "approve \\u202eeno\\u202c"),
        ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
        ("adm\u200din", "adm\\u200din"),
        ("\u200d👩", "\\u200d👩"),
        ("pay\ufe0f", "pay\\ufe0f"),
        ("x\U000e0041\U000e0042", "x\\U000e0041\\U000e0042"),
        ("half \ud83d", "half \\ud83d"),
        ("a\r\nb\rc", "a\nb\\u000dc"),
    ],
)
def test_what_would_deceive_is_written_out(text: str, shown: str) -> None:
    assert show_text(text) == shown


def test_the_consoles_list_of_what_hides_is_this_one() -> None:
    """`console/src/lib/text.test.ts` holds the console's own rule against that list."""
    listed: set[int] = set()
    for line in (Path(__file__).parents[3] / "console/src/lib/hidden-characters.txt").read_text("ascii").split():
        first, _, last = line.partition("-")
        listed.update(range(int(first, 16), int(last or first, 16) + 1))
    assert listed == {number for number in range(0x110000) if hides(f"a{chr(number)}b")} - {0x0D}
