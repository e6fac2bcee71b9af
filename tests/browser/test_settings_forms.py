"""Config and context of a session that is started in the browser: forms beside that of the inputs."""

import re
from typing import Any

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Visitor
from tests.support.kube import Space
from tests.trust.roles import Client

Json = dict[str, Any]
ACCEPTS = "x-graph-accepts"
HOSTILE = "<img src=x onerror=canary()>\u202e"


def schema(*required: str) -> Json:
    """Return what the inspection derives from a dataclass."""
    properties: Json = {
        "user": {"type": "string", "title": "User"},
        "model": {"type": "string", "title": "Model", "default": "small", "enum": ["small", "large", "huge"]},
        "careful": {"type": "boolean", "title": "Careful", "default": False},
        "budget": {"type": "integer", "title": "Budget", "description": "Tokens of one run.", "default": 1000},
    }
    known = {"type": "object", "properties": {name: {} for name in properties}, "additionalProperties": False}
    accepts = {**known, "required": list(required)} if required else known
    described = {"title": "Context", "type": "object", "properties": properties, ACCEPTS: accepts}
    return {**described, "required": list(required)} if required else described


def describe(*required: str) -> Json:
    """Return the status of a definition whose graph has this context."""
    found = schema(*required)
    config = {key: value for key, value in found.items() if key not in (ACCEPTS, "required")}
    return {"contextSchema": found, "configSchema": {**config, ACCEPTS: {}}}


@pytest.fixture
def page(visitor: Visitor, alice: Client) -> Page:
    """A window of somebody who may start sessions."""
    visitor.sign_in(alice.token)
    return visitor.page


def open_form(visitor: Visitor, space: Space, *required: str, search: str = "", **spec: Any) -> Page:
    """Define a workflow whose graph has a context, and open its form."""
    inputs = {"type": "object", "properties": {"topic": {"type": "string", "title": "Topic"}}}
    space.define("report", inputSchema=inputs, status=describe(*required), **spec)
    visitor.open(f"/new/{space.name}/report{search}")
    expect(visitor.page.get_by_role("button", name="Start the session")).to_be_visible()
    return visitor.page


def fold(page: Page, name: str) -> Locator:
    return page.locator(f"[data-fold={name}]")


def unfold(page: Page, name: str) -> Locator:
    """Open a folded form, and return it."""
    found = fold(page, name)
    found.locator("summary").click()
    expect(found.get_by_role("button", name="JSON")).to_be_visible()
    return found


def start(page: Page, space: Space) -> Json:
    """Start the session, and return its spec."""
    page.get_by_role("button", name="Start the session").click()
    expect(page).to_have_url(re.compile(rf"/sessions/{space.name}/[^/]+$"))
    spec: Json = space.session(page.url.rpartition("/")[2])["spec"]
    return spec


def test_config_and_context_are_folded_and_nothing_of_them_is_sent_where_nobody_says_anything(
    page: Page, visitor: Visitor, space: Space
) -> None:
    open_form(visitor, space, defaults={"context": {"model": "large"}})
    for name in ("context", "config"):
        expect(fold(page, name)).not_to_have_attribute("open", re.compile(""))
    # Who only looks changes nothing: the form shows what holds anyway.
    context = unfold(page, "context")
    expect(context.get_by_label("Model").locator("option:checked")).to_have_text("large")
    expect(context.get_by_label("Budget")).to_have_value("1000")
    config = unfold(page, "config")
    # Nothing reads the graph's own defaults from a config.
    expect(config.get_by_label("Budget")).to_have_value("")
    page.get_by_label("Topic").fill("tea")
    visitor.check_accessibility()
    assert start(page, space).keys() & {"config", "context"} == set()


def test_what_is_said_in_config_and_context_is_sent_and_stands_in_the_yaml(
    page: Page, visitor: Visitor, space: Space
) -> None:
    open_form(visitor, space, "user", defaults={"context": {"model": "large"}, "config": {"recursion_limit": 40}})
    # What is needed is not folded away.
    context = fold(page, "context")
    context.get_by_label("User").fill("ann")
    context.get_by_label("Careful").check()
    visitor.take_pictures("form-settings")
    config = unfold(page, "config")
    config.get_by_label("User").fill("bob")
    expect(config.get_by_label("Recursion limit")).to_have_value("40")
    config.get_by_label("Recursion limit").fill("50")
    config.get_by_role("button", name="Add to Tags").click()
    config.get_by_role("textbox", name=re.compile("^Tag")).fill("nightly")
    config.get_by_label("Metadata").fill('{"team": 12345678901234567}')
    expect(context.locator("summary")).to_contain_text("Set: careful, user")
    visitor.check_accessibility()
    said = {
        "context": {"user": "ann", "careful": True},
        "config": {
            "configurable": {"user": "bob"},
            "recursion_limit": 50,
            "tags": ["nightly"],
            "metadata": {"team": 12345678901234567},
        },
    }
    page.get_by_role("button", name="Copy as YAML").click()
    shown = yaml.safe_load(page.get_by_test_id("manifest").inner_text())
    assert {key: shown["spec"].get(key) for key in said} == said
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("manifest")).to_have_count(0)
    spec = start(page, space)
    assert {key: spec.get(key) for key in said} == said


def test_form_json_and_yaml_are_one_value_in_a_fold_too(page: Page, visitor: Visitor, space: Space) -> None:
    open_form(visitor, space)
    context = unfold(page, "context")
    context.get_by_label("Budget").fill("7")
    context.get_by_role("button", name="JSON").click()
    text = context.get_by_role("textbox", name="Context")
    expect(text).to_have_value(re.compile('"budget": 7'))
    text.fill('{"budget": 8')
    # A text that is no value is not sent, and says so.
    page.get_by_role("button", name="Start the session").click()
    expect(text).to_be_focused()
    assert space.sessions() == []
    text.fill('{"budget": 8}')
    context.get_by_role("button", name="YAML").click()
    text = context.get_by_role("textbox", name="Context")
    expect(text).to_have_value("budget: 8\n")
    text.fill("budget: 9\nuser: ann\n")
    context.get_by_role("button", name="Form").click()
    expect(context.get_by_label("Budget")).to_have_value("9")
    assert start(page, space)["context"] == {"budget": 9, "user": "ann"}


def test_what_is_missing_or_refused_opens_its_fold_and_stands_at_its_field(
    page: Page, visitor: Visitor, space: Space
) -> None:
    open_form(visitor, space, "user")
    context = fold(page, "context")
    context.locator("summary").click()
    expect(context.get_by_label("User")).to_be_hidden()
    page.get_by_role("button", name="Start the session").click()
    expect(context.get_by_label("User")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("Context › User: Is needed.")
    context.get_by_label("User").fill("ann")
    expect(page.get_by_role("alert")).to_have_count(0)

    # The server alone knows which names are not for people to set.
    config = unfold(page, "config")
    config.get_by_role("button", name="JSON").click()
    config.get_by_role("textbox", name="Config").fill('{"configurable": {"user": "bob", "thread_id": "t1"}}')
    config.get_by_role("button", name="Form").click()
    config.locator("summary").click()
    page.get_by_role("button", name="Start the session").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Config › Configurable › thread_id: is set by the system")
    expect(config.get_by_label("User")).to_be_visible()
    config.locator("summary").click()
    expect(config.get_by_label("User")).to_be_hidden()
    alert.get_by_role("button").click()
    # It has no field of its own: the first one of the object that it is in.
    expect(config.get_by_label("Budget")).to_be_focused()
    assert space.sessions() == []
    visitor.check_accessibility()


def test_a_draft_of_config_and_context_survives_a_reload_and_is_dropped_by_start_over(
    page: Page, visitor: Visitor, space: Space
) -> None:
    open_form(visitor, space)
    unfold(page, "context").get_by_label("User").fill("ann")
    page.reload()
    context = fold(page, "context")
    expect(context.get_by_label("User")).to_have_value("ann")
    expect(fold(page, "config")).not_to_have_attribute("open", re.compile(""))
    page.get_by_role("button", name="Start over").click()
    expect(context.get_by_label("User")).to_have_value("")
    assert "context" not in start(page, space)


def test_start_again_takes_config_and_context_over(page: Page, visitor: Visitor, space: Space) -> None:
    said: Json = {
        "context": {"user": HOSTILE, "budget": 12345678901234567},
        "config": {"configurable": {"user": "bob"}},
    }
    space.start("s1", inputs={"topic": "tea"}, **said)
    open_form(visitor, space, search=f"?from={space.name}/s1")
    expect(fold(page, "context").locator("summary")).to_contain_text("Set: budget, user")
    expect(unfold(page, "config").get_by_label("User")).to_have_value("bob")
    unfold(page, "context").get_by_label("Model").select_option("huge")
    spec = start(page, space)
    assert spec["inputs"] == {"topic": "tea"}
    assert spec["config"] == said["config"]
    assert spec["context"] == {**said["context"], "model": "huge"}


def test_a_workflow_without_such_schemas_offers_none_and_takes_over_what_a_session_had(
    page: Page, visitor: Visitor, space: Space
) -> None:
    space.define("report")
    visitor.open(f"/new/{space.name}/report")
    expect(page.get_by_role("button", name="Start the session")).to_be_visible()
    expect(page.locator("[data-fold]")).to_have_count(0)
    space.start("s1", context={HOSTILE: [1, {"a": HOSTILE}]}, config={"tags": ["nightly"]})
    visitor.open(f"/new/{space.name}/report?from={space.name}/s1")
    summary = fold(page, "context").locator("summary")
    expect(summary).to_contain_text("Set: <img src=x onerror=canary()>")
    assert "\u202e" not in summary.inner_text()
    expect(unfold(page, "context").get_by_role("textbox", name="Context")).to_have_value(re.compile("canary"))
    assert page.locator("main img").count() == 0
    spec = start(page, space)
    assert spec["context"] == {HOSTILE: [1, {"a": HOSTILE}]}
    assert spec["config"] == {"tags": ["nightly"]}
