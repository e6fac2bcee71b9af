"""Forms made from schemas: what they draw, what they refuse, what they send; questions and their answers."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, Route, expect

from tests.support.browser import PHONE, ROOT, Visitor
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Json = dict[str, Any]
Somebody = Callable[..., Client]

KINDS: Json = {
    "type": "object",
    "title": "Report",
    "required": ["title", "pages", "kind", "address"],
    "properties": {
        "title": {"type": "string", "title": "Title", "description": "Shown on the first page.", "maxLength": 40},
        "pages": {"type": "integer", "title": "Pages", "minimum": 1, "maximum": 9},
        "ratio": {"type": "number", "title": "Ratio", "exclusiveMinimum": 0},
        "draft": {"type": "boolean", "title": "Draft", "default": True},
        "kind": {"title": "Kind", "enum": ["short", "long", 3]},
        "size": {"type": "string", "title": "Size", "enum": ["small", "large"], "x-component": "radio"},
        "day": {"type": "string", "format": "date", "title": "Day"},
        "at": {"type": "string", "format": "date-time", "title": "Begins"},
        "notes": {"type": "string", "title": "Notes", "maxLength": 4000},
        "secret": {"type": "string", "format": "password", "title": "Secret"},
        "tags": {"type": "array", "title": "Tags", "maxItems": 3, "items": {"type": "string", "title": "Tag"}},
        "address": {
            "type": "object",
            "title": "Address",
            "required": ["city"],
            "properties": {
                "city": {"type": "string", "title": "City"},
                "geo": {
                    "type": "object",
                    "title": "Position",
                    "required": ["point"],
                    "properties": {
                        "point": {
                            "type": "object",
                            "title": "Point",
                            "required": ["lat"],
                            "properties": {
                                "lat": {"type": "number", "title": "Latitude", "minimum": -90, "maximum": 90}
                            },
                        }
                    },
                },
            },
        },
        "anything": {"title": "Anything"},
        "version": {"const": 2, "title": "Version"},
    },
    "additionalProperties": False,
}


@pytest.fixture
def page(visitor: Visitor, alice: Client) -> Page:
    """A window of somebody who may start sessions."""
    visitor.sign_in(alice.token)
    return visitor.page


def open_form(visitor: Visitor, space: Space, schema: Json, *, search: str = "", **spec: Any) -> Page:
    """Define a workflow with this schema, and open its form."""
    space.define("report", inputSchema=schema, **spec)
    visitor.open(f"/new/{space.name}/report{search}")
    expect(visitor.page.get_by_role("button", name=re.compile("^Start the"))).to_be_visible()
    return visitor.page


def patch_definition(space: Space, **spec: Any) -> None:
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/workflowdefinitions/report"
    space.plane.request("PATCH", path, {"spec": spec})


def submit(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Start the")).click()


def wait_inputs(page: Page, space: Space) -> Any:
    """Return the inputs of the session that was made."""
    expect(page).to_have_url(re.compile(rf"/sessions/{space.name}/[^/]+$"))
    return space.session(page.url.rpartition("/")[2])["spec"].get("inputs")


def test_each_kind_of_field_has_its_control(page: Page, visitor: Visitor, space: Space) -> None:
    open_form(visitor, space, KINDS)
    expect(page.get_by_role("textbox", name="Title", exact=False)).to_have_attribute("type", "text")
    for name in ("Pages", "Ratio"):
        expect(page.get_by_role("spinbutton", name=name)).to_be_visible()
    draft = page.get_by_role("checkbox", name="Draft")
    expect(draft).to_be_checked()
    expect(page.get_by_role("combobox", name="Kind")).to_be_visible()
    expect(page.get_by_role("radiogroup", name="Size").get_by_role("radio")).to_have_count(2)
    expect(page.get_by_label("Day")).to_have_attribute("type", "date")
    expect(page.get_by_label("Begins")).to_have_attribute("type", "datetime-local")
    expect(page.get_by_text("Europe/Berlin")).to_be_visible()
    assert page.get_by_label("Notes").evaluate("each => each.tagName") == "TEXTAREA"
    expect(page.get_by_label("Secret", exact=True)).to_have_attribute("type", "password")
    expect(page.get_by_role("group", name="Address")).to_be_visible()
    expect(page.get_by_label("Version")).to_have_value("2")
    expect(page.get_by_label("Title")).to_have_attribute("aria-required", "true")
    described = page.get_by_label("Title").get_attribute("aria-describedby") or ""
    expect(page.locator(f"[id='{described}']")).to_have_text("Shown on the first page.")
    visitor.check_accessibility()
    visitor.take_pictures("form")


def test_what_is_typed_is_sent_as_it_is(page: Page, visitor: Visitor, space: Space) -> None:
    open_form(visitor, space, KINDS)
    page.get_by_label("Title").fill("Rivers")
    page.get_by_label("Pages").fill("3")
    page.get_by_label("Ratio").fill("0.250")
    page.get_by_label("Kind").select_option("3")
    page.get_by_label("small").check()
    page.get_by_label("Day").fill("2026-02-28")
    page.get_by_label("Begins").fill("2026-07-01T09:30:00")
    page.get_by_label("Notes").fill("first line\nsecond line")
    page.get_by_label("City").fill("Bonn")
    page.get_by_label("Anything").fill('{"a": [1, 12345678901234567]}')
    position = page.get_by_role("group", name="Position")
    position.get_by_role("button", name="Fill in").click()
    page.get_by_label("Latitude").fill("50.7")
    submit(page)
    assert wait_inputs(page, space) == {
        "title": "Rivers",
        "pages": 3,
        "ratio": 0.25,
        "draft": True,
        "kind": 3,
        "size": "small",
        "day": "2026-02-28",
        "at": "2026-07-01T09:30:00+02:00",
        "notes": "first line\nsecond line",
        "address": {"city": "Bonn", "geo": {"point": {"lat": 50.7}}},
        "anything": {"a": [1, 12345678901234567]},
        "version": 2,
    }


def test_a_choice_offers_the_schemas_values_and_nothing_else(
    page: Page, visitor: Visitor, space: Space, alice: Client, gateway: Gateway
) -> None:
    open_form(visitor, space, KINDS)
    expect(page.get_by_label("Kind").locator("option")).to_have_text(["Choose…", "short", "long", "3"])
    body = {
        "spec": {
            "workflowRef": {"name": "report"},
            "inputs": {"title": "a", "pages": 1, "kind": "other", "address": {"city": "b"}},
        }
    }
    refused = gateway.call("POST", f"/api/v1/agentic-sessions/{space.name}", body, token=alice.token)
    assert (refused.code, [each["pointer"] for each in refused.body["errors"]]) == (400, ["/spec/inputs/kind"])


def test_wrong_values_are_not_sent_and_the_first_one_gets_the_focus(page: Page, visitor: Visitor, space: Space) -> None:
    open_form(visitor, space, KINDS)
    page.get_by_label("Title").fill("x" * 41)
    page.get_by_label("Pages").fill("ten")
    submit(page)
    expect(page.get_by_label("Title")).to_be_focused()
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("4 values are not right yet")
    expect(page.get_by_label("Pages")).to_have_attribute("aria-invalid", "true")
    error = page.locator(f"[id='{(page.get_by_label('Pages').get_attribute('aria-describedby') or '').split()[0]}']")
    expect(error).to_have_text("Must be a whole number.")
    visitor.check_accessibility()
    visitor.take_pictures("form-errors")
    summary.get_by_role("button", name="Address › City").click()
    expect(page.get_by_label("City")).to_be_focused()
    # They go as they are made right, without another try.
    page.get_by_label("Pages").fill("10")
    expect(error).to_have_text("Must be 9 or less.")
    page.get_by_label("Pages").fill("9")
    expect(error).to_have_count(0)
    expect(page.get_by_label("Pages")).not_to_have_attribute("aria-invalid", "true")
    assert [each for each in visitor.requests if each.method == "POST"] == []
    assert space.sessions() == []


def test_what_the_server_refuses_stands_at_its_field(page: Page, visitor: Visitor, space: Space) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "title": "Number"}, "a/b": {"type": "string", "title": "Path"}},
    }
    open_form(visitor, space, schema)
    # The definition changes while the form is open.
    strict = {
        **schema,
        "properties": {"n": {"type": "integer", "maximum": 5}, "a/b": {"type": "string", "pattern": "^/"}},
    }
    patch_definition(space, inputSchema=strict)
    page.get_by_label("Number").fill("9")
    page.get_by_label("Path").fill("tmp")
    submit(page)
    expect(page.get_by_role("alert").first).to_contain_text("2 values are not right yet")
    for name, text in (("Number", "9 is greater than the maximum of 5"), ("Path", "does not match")):
        field = page.get_by_label(name, exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
        error = (field.get_attribute("aria-describedby") or "").split()[0]
        expect(page.locator(f"[id='{error}']")).to_contain_text(text)
    expect(page.get_by_label("Path", exact=True)).to_be_focused()
    page.get_by_label("Path", exact=True).fill("/tmp")
    expect(page.get_by_label("Path", exact=True)).not_to_have_attribute("aria-invalid", "true")
    page.get_by_label("Number").fill("5")
    submit(page)
    assert wait_inputs(page, space) == {"n": 5, "a/b": "/tmp"}


def test_two_clicks_send_one_request(page: Page, visitor: Visitor, space: Space) -> None:
    open_form(visitor, space, {"type": "object", "properties": {"a": {"type": "string", "title": "A"}}})
    held: list[Route] = []
    page.route("**/api/v1/agentic-sessions/*", lambda route: held.append(route))
    page.get_by_label("A", exact=True).fill("x")
    page.get_by_role("button", name="Start the session").dblclick()
    busy = page.get_by_role("button", name="Creating…")
    expect(busy).to_be_disabled()
    expect(busy).to_have_attribute("aria-busy", "true")
    page.get_by_label("A", exact=True).press("Enter")
    wait_for(lambda: page.evaluate("() => 0") or held, bool, what="the request")
    assert held[0].request.headers["idempotency-key"]
    held[0].continue_()
    page.unroute("**/api/v1/agentic-sessions/*")
    assert wait_inputs(page, space) == {"a": "x"}
    assert len(held) == 1
    assert len([each for each in visitor.requests if each.method == "POST"]) == 1
    assert len(space.sessions()) == 1


def test_a_request_whose_answer_was_lost_makes_no_second_session(page: Page, visitor: Visitor, space: Space) -> None:
    open_form(visitor, space, {"type": "object", "properties": {"a": {"type": "string", "title": "A"}}})
    page.get_by_label("A", exact=True).fill("x")

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/api/v1/agentic-sessions/*", lose)
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/api/v1/agentic-sessions/*")
    submit(page)
    assert wait_inputs(page, space) == {"a": "x"}
    assert len(space.sessions()) == 1
    visitor.faults.clear()


def test_items_are_added_moved_and_removed_within_their_bounds(page: Page, visitor: Visitor, space: Space) -> None:
    schema = {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "title": "Tags", "minItems": 2, "maxItems": 3, "items": {"type": "string"}}
        },
    }
    open_form(visitor, space, schema)
    add = page.get_by_role("button", name="Add to Tags")
    for number, text in enumerate(("one", "two", "three")):
        add.click()
        page.locator(f"[id='input_tags_{number}']").fill(text)
    expect(add).to_have_count(0)

    def require_items(*values: str) -> None:
        for number, value in enumerate(values):
            expect(page.locator(f"[id='input_tags_{number}']")).to_have_value(value)
        expect(page.locator(f"[id='input_tags_{len(values)}']")).to_have_count(0)

    page.get_by_role("button", name="Move item 3 up").click()
    require_items("one", "three", "two")
    page.get_by_role("button", name="Remove item 1").click()
    require_items("three", "two")
    page.get_by_role("button", name="Remove item 1").click()
    require_items("two")
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("Needs at least 2 items.")
    add.click()
    page.locator("[id='input_tags_1']").fill("four")
    submit(page)
    assert wait_inputs(page, space) == {"tags": ["two", "four"]}


def test_a_component_is_drawn_as_the_schema_names_it(page: Page, visitor: Visitor, space: Space) -> None:
    schema = {
        "type": "object",
        "properties": {
            "long": {"type": "string", "title": "Long", "x-component": "textarea"},
            "key": {"type": "string", "title": "Key", "x-component": "password"},
            "odd": {"type": "string", "title": "Odd", "x-component": "hologram"},
            "hint": {"type": "string", "title": "Hint"},
        },
    }
    ui = {
        "hint": {"ui:widget": "textarea", "ui:options": {"rows": 3, "style": {"position": "fixed"}}},
        "ui:order": ["odd", "*"],
    }
    open_form(visitor, space, schema, uiSchema=ui)
    assert page.get_by_label("Long").evaluate("each => each.tagName") == "TEXTAREA"
    assert page.get_by_label("Hint").evaluate("each => [each.tagName, each.rows, each.closest('[style]')]") == [
        "TEXTAREA",
        3,
        None,
    ]
    expect(page.get_by_label("Key", exact=True)).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show the password").click()
    expect(page.get_by_label("Key", exact=True)).to_have_attribute("type", "text")
    expect(page.get_by_label("Odd")).to_have_attribute("type", "text")
    assert page.locator("form label").first.inner_text() == "Odd"


def test_fields_stand_in_the_order_that_the_state_or_the_author_names(
    page: Page, visitor: Visitor, space: Space
) -> None:
    text = {"type": "string"}
    part = {"type": "object", "properties": {"left": text, "down": text}, "x-order": ["left", "down"]}
    fields = {"apple": text, "melon": text, "zebra": text, "part": {**part, "required": ["down"]}}
    order = ["zebra", "part", "apple", "melon"]
    derived = {"type": "object", "properties": fields, "required": ["part"], "x-order": order}
    space.define("report", status={"inputSchema": derived})
    visitor.open(f"/new/{space.name}/report")
    labels = page.locator("form label").filter(has_text=re.compile("zebra|left|down|apple|melon"))
    expect(labels).to_have_text([re.compile(name) for name in ("zebra", "left", "down", "apple", "melon")])
    # What the author writes in the definition goes before.
    patch_definition(space, uiSchema={"ui:order": ["melon", "*", "zebra"]})
    page.reload()
    expect(labels).to_have_text([re.compile(name) for name in ("melon", "left", "down", "apple", "zebra")])


def test_a_layout_gives_two_columns_and_one_on_a_phone(page: Page, visitor: Visitor, space: Space) -> None:
    part = {"type": "string"}
    schema = {
        "type": "object",
        "x-layout": {"columns": 2},
        "properties": {"a": part, "b": part, "c": {"type": "string", "x-span": 2}},
    }
    open_form(visitor, space, schema)

    # All places are of one moment, and the page is laid out anew a moment after its size changed.
    script = """() => [...document.querySelectorAll('[id^=input_]')].map((each) => {
        const { x, y } = each.getBoundingClientRect();
        return [x, y];
    })"""

    def wait_places(holds: Callable[[list[list[float]]], bool], what: str) -> None:
        wait_for(lambda: page.evaluate(script), lambda places: len(places) == 3 and holds(places), what=what)

    wait_places(
        lambda at: at[0][1] == at[1][1] < at[2][1] and at[0][0] == at[2][0] < at[1][0],
        "two columns, and the last field over both",
    )
    page.set_viewport_size(PHONE)
    wait_places(lambda at: at[0][0] == at[1][0] == at[2][0] and at[0][1] < at[1][1] < at[2][1], "one column")
    visitor.wait_within_width()


def test_a_condition_shows_and_demands_a_field(
    page: Page, visitor: Visitor, space: Space, alice: Client, gateway: Gateway
) -> None:
    schema = {
        "type": "object",
        "properties": {"mode": {"enum": ["fast", "slow"], "title": "Mode"}},
        "required": ["mode"],
        "if": {"properties": {"mode": {"const": "slow"}}, "required": ["mode"]},
        "then": {"properties": {"reason": {"type": "string", "title": "Reason"}}, "required": ["reason"]},
    }
    open_form(visitor, space, schema)
    expect(page.get_by_label("Reason")).to_have_count(0)
    page.get_by_label("Mode").select_option("slow")
    expect(page.get_by_label("Reason")).to_be_visible()
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("Is needed.")
    body = {"spec": {"workflowRef": {"name": "report"}, "inputs": {"mode": "slow"}}}
    assert gateway.call("POST", f"/api/v1/agentic-sessions/{space.name}", body, token=alice.token).code == 400
    page.get_by_label("Mode").select_option("fast")
    expect(page.get_by_label("Reason")).to_have_count(0)
    submit(page)
    assert wait_inputs(page, space) == {"mode": "fast"}


def test_alternatives_are_chosen_and_judged_as_the_chosen_one(page: Page, visitor: Visitor, space: Space) -> None:
    schema = {
        "type": "object",
        "required": ["pet"],
        "$defs": {
            "Cat": {
                "type": "object",
                "title": "Cat",
                "required": ["kind", "lives"],
                "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer", "title": "Lives", "maximum": 9}},
            },
            "Dog": {
                "type": "object",
                "title": "Dog",
                "required": ["kind"],
                "properties": {"kind": {"const": "dog"}, "good": {"type": "boolean", "title": "Good"}},
            },
        },
        "properties": {
            "pet": {"title": "Pet", "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Note", "default": None},
        },
    }
    open_form(visitor, space, schema)
    choice = page.get_by_label("Pet", exact=True).first
    choice.select_option("Cat")
    page.get_by_label("Lives").fill("12")
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("Must be 9 or less.")
    expect(page.get_by_label("Lives")).to_be_focused()
    choice.select_option("Dog")
    expect(page.get_by_label("Lives")).to_have_count(0)
    page.get_by_label("Good").check()
    submit(page)
    assert wait_inputs(page, space) == {"pet": {"kind": "dog", "good": True}, "note": None}


def test_the_authors_words_for_a_fault_are_shown_as_text(page: Page, visitor: Visitor, space: Space) -> None:
    words = "<b>Only</b> letters & <img src=x onerror=alert(1)>, please"
    schema = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string",
                "title": "Name of it",
                "pattern": "^[a-z]+$",
                "errorMessage": {"pattern": words, "required": "Say a name"},
            }
        },
    }
    open_form(visitor, space, schema)
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("Say a name")
    page.get_by_label("Name of it").fill("123")
    expect(page.get_by_text(words).last).to_be_visible()
    assert page.locator("form img").count() == 0


HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">[x](javascript:alert(3)) **b** \u202eevil'


def test_hostile_titles_and_descriptions_are_text(page: Page, visitor: Visitor, space: Space) -> None:
    schema = {
        "type": "object",
        "title": HOSTILE,
        "description": HOSTILE,
        "required": ["a"],
        "properties": {
            "a": {"type": "string", "title": HOSTILE, "description": HOSTILE, "minLength": 3, "errorMessage": HOSTILE},
            "b": {"enum": [HOSTILE, "x"], "title": "Choice"},
            "c": {
                "type": "array",
                "title": HOSTILE,
                "items": {"type": "object", "title": HOSTILE, "properties": {HOSTILE: {"type": "string"}}},
            },
            "d": {"type": "boolean", "title": HOSTILE},
            "constructor": {"type": "string"},
            "__proto": {"type": "string"},
        },
    }
    ui = {
        "a": {
            "ui:help": HOSTILE,
            "ui:placeholder": HOSTILE,
            "classNames": "fixed inset-0",
            "ui:field": "LayoutGridField",
        }
    }
    open_form(visitor, space, schema, uiSchema=ui, description=HOSTILE)
    submit(page)
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Add to")).click()
    found = page.locator("form").inner_html()
    assert "<script" not in found
    assert "<img" not in found
    assert 'href="javascript' not in found
    assert "\u202e" not in page.locator("main").inner_text()
    page.locator("[id='input_constructor']").fill("x")
    page.locator("[id='input_a']").fill("abc")
    submit(page)
    assert wait_inputs(page, space)["constructor"] == "x"


def test_no_digit_is_lost_between_the_keys_and_the_cluster(page: Page, visitor: Visitor, space: Space) -> None:
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "title": "Id", "maximum": 9007199254740993},
            "any": {"type": "integer", "title": "Any"},
            "rate": {"type": "number", "title": "Rate"},
        },
    }
    open_form(visitor, space, schema)
    page.get_by_label("Id").fill("9007199254740994")
    page.get_by_label("Any").fill("9223372036854775808")
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("beyond 64 bits")
    page.get_by_label("Any").fill("9223372036854775807")
    expect(page.get_by_role("alert")).to_contain_text("Must be 9007199254740993 or less.")
    page.get_by_label("Id").fill("9007199254740993")
    page.get_by_label("Rate").fill("0.10000000000000000001")
    expect(page.get_by_text("The cluster keeps decimals as doubles: 0.1.")).to_be_visible()
    page.get_by_label("Rate").fill("1.50")
    expect(page.get_by_label("Rate")).to_have_value("1.50")
    page.get_by_role("button", name="JSON", exact=True).click()
    expect(page.get_by_role("textbox", name="Inputs of the session")).to_have_value(re.compile("9007199254740993"))
    submit(page)
    assert wait_inputs(page, space) == {"id": 9007199254740993, "any": 9223372036854775807, "rate": 1.5}
    # And back again: the form begins with the inputs of that session.
    name = page.url.rpartition("/")[2]
    visitor.open(f"/new/{space.name}/report?from={space.name}/{name}")
    expect(page.get_by_label("Any")).to_have_value("9223372036854775807")
    expect(page.get_by_label("Id")).to_have_value("9007199254740993")


def test_form_json_and_yaml_are_the_same_value(page: Page, visitor: Visitor, space: Space) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "title": "A"}, "n": {"type": "integer", "title": "N", "maximum": 5}},
        "additionalProperties": False,
    }
    open_form(visitor, space, schema)
    page.get_by_label("A", exact=True).fill("no")
    page.get_by_role("button", name="JSON", exact=True).click()
    text = page.get_by_role("textbox", name="Inputs of the session")
    expect(text).to_have_value('{\n  "a": "no"\n}')
    text.fill('{"a": "x", "n": 3,}')
    expect(page.get_by_text("Cannot be read:")).to_be_visible()
    expect(page.get_by_role("button", name="Form", exact=True)).to_be_disabled()
    submit(page)
    assert space.sessions() == []
    text.fill('{"a": "x", "a": "y"}')
    expect(page.get_by_text("Cannot be read:")).to_contain_text("a")
    text.fill('{"a": "yes", "n": 9, "z": 1}')
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("Is not expected here.")
    text.fill('{"a": "yes", "n": 4}')
    page.get_by_role("button", name="YAML", exact=True).click()
    expect(text).to_have_value('a: "yes"\n"n": 4\n')
    text.fill("a: 'off'\nn: 5\n")
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.get_by_label("A", exact=True)).to_have_value("off")
    expect(page.get_by_label("N", exact=True)).to_have_value("5")
    submit(page)
    assert wait_inputs(page, space) == {"a": "off", "n": 5}


def test_a_draft_survives_a_reload_without_its_password(
    page: Page, visitor: Visitor, space: Space, alice: Client
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "title": "A"},
            "key": {"type": "string", "title": "Key", "format": "password"},
            "in": {
                "type": "object",
                "title": "In",
                "properties": {
                    "pin": {"type": "string", "title": "Pin", "x-component": "password"},
                    "n": {"type": "integer", "title": "N"},
                },
            },
        },
        "required": ["in"],
    }
    open_form(visitor, space, schema)
    page.get_by_label("A", exact=True).fill("typed")
    page.get_by_label("Key", exact=True).fill("hunter2-secret")
    page.get_by_label("Pin", exact=True).fill("4711-secret")
    page.get_by_label("N", exact=True).fill("7")
    page.reload()
    expect(page.get_by_label("A", exact=True)).to_have_value("typed")
    expect(page.get_by_label("N", exact=True)).to_have_value("7")
    expect(page.get_by_label("Key", exact=True)).to_have_value("")
    expect(page.get_by_text("What you typed before is here again.")).to_be_visible()
    kept = page.evaluate("() => JSON.stringify({...sessionStorage, ...localStorage})")
    assert "typed" in kept
    assert "secret" not in kept
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_label("A", exact=True)).to_have_value("")
    page.get_by_label("A", exact=True).fill("sent")
    submit(page)
    assert wait_inputs(page, space)["a"] == "sent"
    wait_for(
        lambda: page.evaluate("() => JSON.stringify({...sessionStorage})"),
        lambda kept: "sent" not in kept,
        what="the end of the draft",
    )


def test_the_same_session_is_copied_for_kubectl(page: Page, visitor: Visitor, space: Space) -> None:
    open_form(
        visitor,
        space,
        {
            "type": "object",
            "properties": {"a": {"title": "A", "type": "string"}, "n": {"type": "integer", "title": "N"}},
        },
    )
    page.get_by_label("A", exact=True).fill("no: # 'x'")
    page.get_by_label("N", exact=True).fill("9007199254740993")
    page.get_by_role("button", name="Copy as YAML").click()
    text = page.get_by_test_id("manifest").inner_text()
    made = yaml.safe_load(text)
    assert made["spec"] == {"workflowRef": {"name": "report"}, "inputs": {"a": "no: # 'x'", "n": 9007199254740993}}
    assert made["metadata"] == {"generateName": "report-", "namespace": space.name}
    expect(page.get_by_text("kubectl create -f session.yaml")).to_be_visible()
    created = space.plane.request(
        "POST", f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/agenticsessions", made
    )
    assert created["spec"]["inputs"] == made["spec"]["inputs"]


def test_a_file_becomes_text_or_base64_within_the_limit(
    page: Page, visitor: Visitor, space: Space, tmp_path: Path
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "csv": {"type": "string", "title": "Table", "contentMediaType": "text/csv"},
            "png": {"type": "string", "title": "Picture", "contentEncoding": "base64", "contentMediaType": "image/png"},
        },
    }
    (tmp_path / "a.csv").write_text("a,b\n1,Zoë\n", encoding="utf-8")
    (tmp_path / "a.png").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "large.png").write_bytes(b"x" * 300_000)
    open_form(visitor, space, schema)
    picture = page.get_by_label("Picture", exact=True)
    picture.set_input_files(tmp_path / "large.png")
    expect(page.get_by_text("take at most 256 KiB")).to_be_visible()
    picture.set_input_files(tmp_path / "a.png")
    expect(page.get_by_text("Read a.png, 1024 bytes.")).to_be_visible()
    page.get_by_label("Read Table from a file").set_input_files(tmp_path / "a.png")
    expect(page.get_by_text("The file is no UTF-8 text")).to_be_visible()
    page.get_by_label("Read Table from a file").set_input_files(tmp_path / "a.csv")
    expect(page.get_by_label("Table", exact=True)).to_have_value("a,b\n1,Zoë\n")
    submit(page)
    inputs = wait_inputs(page, space)
    assert inputs["csv"] == "a,b\n1,Zoë\n"
    assert base64.b64decode(inputs["png"]) == bytes(range(256)) * 4


def test_large_text_is_told_before_it_is_sent(page: Page, visitor: Visitor, space: Space) -> None:
    open_form(
        visitor,
        space,
        {"type": "object", "properties": {"a": {"type": "string", "title": "A", "x-component": "textarea"}}},
    )
    page.get_by_label("A", exact=True).fill("x" * (256 * 1024))
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("larger than 256 KiB")
    page.get_by_label("A", exact=True).fill("x" * (255 * 1024))
    submit(page)
    assert len(wait_inputs(page, space)["a"]) == 255 * 1024


def test_messages_are_written_as_in_a_chat(page: Page, visitor: Visitor, space: Space) -> None:
    message = {
        "type": "object",
        "required": ["role", "content"],
        "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"type": "string", "minLength": 1}},
    }
    schema = {
        "type": "object",
        "required": ["messages"],
        "properties": {"messages": {"type": "array", "minItems": 1, "title": "Messages", "items": message}},
    }
    open_form(visitor, space, schema)
    button = page.get_by_role("button", name="Start the conversation")
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("Is needed.")
    page.get_by_label("Message 1", exact=True).fill("hi")
    page.get_by_role("button", name="Add a message").click()
    page.get_by_label("Role of message 2").select_option("assistant")
    page.get_by_label("Message 2", exact=True).fill("hello")
    visitor.take_pictures("form-messages")
    button.click()
    expect(page).to_have_url(re.compile(rf"/sessions/{space.name}/[^/]+$"))
    spec = space.session(page.url.rpartition("/")[2])["spec"]
    assert spec["mode"] == "Conversation"
    assert spec["turns"][0]["input"] == {
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    }


def test_the_keyboard_alone_fills_in_and_sends(page: Page, visitor: Visitor, space: Space) -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "title": "A"},
            "b": {"type": "integer", "title": "B", "minimum": 1, "maximum": 9},
            "c": {"type": "boolean", "title": "C"},
            "d": {"enum": ["x", "y"], "title": "D"},
        },
    }
    open_form(visitor, space, schema)
    page.get_by_label("A", exact=True).focus()
    page.keyboard.type("typed")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.type("y")
    expect(page.get_by_label("D", exact=True)).to_have_value(re.compile("."))
    button = page.get_by_role("button", name="Start the session")

    def is_reached() -> bool:
        page.keyboard.press("Tab")
        return bool(button.evaluate("each => each === document.activeElement"))

    wait_for(is_reached, bool, what="the focus on the button", every=0)
    page.keyboard.press("Enter")
    assert wait_inputs(page, space) == {"a": "typed", "b": 2, "c": True, "d": "y"}


EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/definition.yaml"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_examples_form_starts_a_session(example: str, page: Page, visitor: Visitor, space: Space) -> None:
    """Forms are made from what is registered: no build knows these schemas."""
    folder = ROOT / "examples" / example
    schema = yaml.safe_load((folder / "definition.yaml").read_text(encoding="utf-8"))["spec"].get("inputSchema")
    session = yaml.safe_load((folder / "session.yaml").read_text(encoding="utf-8").split("\n---")[0])["spec"]
    inputs = session.get("inputs") or next((each.get("input") for each in session.get("turns", ())), None) or {}
    space.define("report", **({} if schema is None else {"inputSchema": schema}))
    visitor.open(f"/new/{space.name}/report")
    page.get_by_role("button", name="JSON", exact=True).click()
    if inputs:
        page.get_by_role("textbox", name="Inputs of the session").fill(json.dumps(inputs))
    if schema is not None:
        page.get_by_role("button", name="Form", exact=True).click()
        expect(page.get_by_role("group").or_(page.get_by_role("textbox")).first).to_be_visible()
        expect(page.get_by_text("No form can be drawn")).to_have_count(0)
    submit(page)
    if inputs or schema is None:
        expect(page).to_have_url(re.compile(rf"/sessions/{space.name}/[^/]+$"))
        assert len(space.sessions()) == 1
