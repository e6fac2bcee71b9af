"""The workflows: readiness and why not, search, the graph before any run, who may start one; and the settings."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.samples import define_all
from tests.support.browser import Visitor
from tests.support.kube import Space
from tests.trust.roles import Client

Somebody = Callable[..., Client]


def test_workflows_say_whether_they_are_ready_and_why_not(visitor: Visitor, space: Space, alice: Client) -> None:
    define_all(space)
    visitor.sign_in(alice.token, f"/workflows?namespace={space.name}")
    page = visitor.page
    rows = page.get_by_role("main").get_by_role("listitem")
    report = rows.filter(has_text="River report").first
    expect(report).to_contain_text("Ready")
    broken = rows.filter(has_text="Finds outliers").first
    expect(broken).to_contain_text("Not ready")
    expect(broken).to_contain_text("No module named 'pandas'")
    expect(broken.get_by_role("button", name="Start")).to_be_disabled()
    expect(report.get_by_role("link", name="Start River report")).to_have_attribute("href", f"/new/{space.name}/report")
    visitor.check_accessibility()
    visitor.take_pictures("workflows")

    page.keyboard.press("/")
    page.keyboard.type("finance")
    expect(page).to_have_url(re.compile(r"[?&]q=finance"))
    expect(page.get_by_role("status").filter(has_text="1 workflow")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Readiness").select_option("no")
    expect(page.get_by_role("link", name="outliers")).to_be_visible()
    expect(page.get_by_role("link", name="River report")).to_have_count(0)


def test_a_workflow_is_shown_with_its_graph_before_any_run(visitor: Visitor, space: Space, alice: Client) -> None:
    define_all(space)
    visitor.sign_in(alice.token, f"/workflows/{space.name}/report")
    page = visitor.page
    expect(page.get_by_role("heading", level=1)).to_have_text("River report")
    expect(page.locator("[data-node=review][data-look=not-yet]")).to_be_visible()
    expect(page.get_by_role("region", name="Input")).to_contain_text('"file_path"')
    expect(page.get_by_text(f"agentic run report -n {space.name} --watch")).to_be_visible()
    visitor.check_accessibility()
    visitor.take_pictures("workflow")
    # Its size is changed by keys, too.
    drawn = page.locator(".react-flow__viewport")
    before = drawn.get_attribute("style") or ""
    page.get_by_role("button", name="Zoom out").focus()
    page.keyboard.press("Enter")
    expect(drawn).not_to_have_attribute("style", before)
    visitor.open(f"/workflows/{space.name}/outliers")
    expect(page.get_by_role("main")).to_contain_text("drawn once the image has been inspected")
    visitor.check_accessibility()


def test_who_may_not_start_sessions_is_told_before_the_form(visitor: Visitor, space: Space, somebody: Somebody) -> None:
    define_all(space)
    visitor.sign_in(somebody("viewer", "agentic-view").token, f"/workflows?namespace={space.name}")
    report = visitor.page.get_by_role("listitem").filter(has_text="River report").first
    start = report.get_by_role("button", name="Start")
    expect(start).to_be_disabled()
    expect(start).to_have_attribute("title", f"You lack the right to create agenticsessions in {space.name}.")


def test_the_settings_say_who_one_is_and_what_one_may_do(visitor: Visitor, space: Space, alice: Client) -> None:
    visitor.sign_in(alice.token, "/settings")
    page = visitor.page
    expect(page.get_by_text(f"system:serviceaccount:{space.name}:alice", exact=True)).to_be_visible()
    expect(page.get_by_text(f"In {space.name}")).to_be_visible()
    sessions = page.locator("dd").filter(has_text="start").first
    # What is below moves when the rights come.
    expect(sessions).to_be_visible()
    expect(sessions.get_by_label("not allowed")).to_have_count(0)
    page.get_by_label("Dark").click()
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    visitor.check_accessibility()
    page.reload()
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    page.get_by_role("button", name="Forget all of it").click()
    expect(page.locator("html")).not_to_have_class(re.compile("dark"))
    visitor.take_pictures("settings")
