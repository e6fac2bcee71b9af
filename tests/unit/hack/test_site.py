"""The site of the guide: its index lists every page, links lead somewhere, and the reference has what the code has."""

import re

import pytest

from agentic_cli.main import COMMANDS
from agentic_core.conditions import Reason
from agentic_operator.variables import OPTIONS
from hack.site.__main__ import list_pages
from hack.site.pages import PARTS, adapt, build_index, find_unlisted
from hack.site.reference import build_reference, list_fields
from tests.unit.test_layout import ROOT

PAGES = list_pages()
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
ANCHOR = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return build_reference()


def test_every_page_is_in_the_index_once() -> None:
    listed = [name for names in PARTS.values() for name in names]
    assert sorted(listed) == sorted(set(listed))
    assert find_unlisted(PAGES) == set()
    made = {f"docs/reference/{name}" for name in ("commands", "resources", "settings", "reasons")}
    assert {name for name in listed if f"{name}.md" not in PAGES} == made
    assert all(f"\n{name}\n" in build_index() for name in listed)


@pytest.mark.parametrize(
    ("text", "adapted"),
    [
        ("[a](helm.md#values)", "[a](helm.md#values)"),
        ("[a](../README.md)", "[a](../README.md)"),
        ("[a](https://example.com/x)", "[a](https://example.com/x)"),
        ("[a](#here)", "[a](#here)"),
        ("[an example](../examples/chat/)", "an example (`examples/chat`)"),
        ("```\n[a](../examples/chat/)\n```", "```\n[a](../examples/chat/)\n```"),
    ],
)
def test_links_that_leave_the_site_are_made_plain(text: str, adapted: str) -> None:
    assert adapt("docs/page.md", text, {"docs/helm.md", "README.md"}) == adapted


def find_anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as a forge makes them."""
    titles = HEADING.findall(re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL))
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).replace("`", "").strip().lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def test_every_anchor_that_a_page_names_is_a_heading() -> None:
    broken = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target, anchor in ANCHOR.findall(text):
            path = (ROOT / page).parent / target if target else ROOT / page
            if "://" not in target and path.suffix == ".md" and anchor not in find_anchors(path.read_text("utf-8")):
                broken.append(f"{page}: {target}#{anchor}")
    assert broken == []


def test_the_reference_has_every_command_reason_and_setting(reference: dict[str, str]) -> None:
    assert [name for name in COMMANDS if f"## agentic {name}\n" not in reference["commands"]] == []
    assert "## agentic migrate up\n" in reference["commands"]
    assert [reason for reason in Reason if f"| `{reason.value}` |" not in reference["reasons"]] == []
    assert [option.variable for option in OPTIONS if f"| `{option.variable}` |" not in reference["settings"]] == []
    for field in ("spec.image", "spec.responses[].interruptId", "status.phase"):
        assert f"| `{field}` |" in reference["resources"], field


def test_fields_are_listed_with_what_is_below_them() -> None:
    schema = {
        "type": "object",
        "description": "A thing.",
        "required": ["a"],
        "properties": {
            "a": {"type": "string", "enum": ["x", "y"]},
            "b": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "integer", "default": 3}}}},
            "d": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    assert list(list_fields("spec", schema)) == [
        ("`spec`", "object", "", "A thing."),
        ("`spec.a`", "string", "required", " One of `x`, `y`."),
        ("`spec.b`", "array", "", ""),
        ("`spec.b[].c`", "integer", "`3`", ""),
        ("`spec.d`", "object", "", ""),
    ]


def test_every_field_of_a_resource_is_described(reference: dict[str, str]) -> None:
    rows = re.findall(r"^\| `([\w.\[\]*]+)` \| \w+ \| .*? \| (.*) \|$", reference["resources"], re.MULTILINE)
    assert len(rows) > 200
    assert [name for name, words in rows if not words.strip()] == []
