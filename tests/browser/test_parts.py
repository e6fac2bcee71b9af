"""What a page fetches when it is needed first: what cannot be fetched takes nothing else with it, and comes later."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, Request, Route, expect

from agentic_store.database import Database
from tests.browser.samples import GRAPH, SCHEMA, question
from tests.browser.stories import Backstage, Story, begin_story
from tests.support.browser import Visitor
from tests.support.kube import Space
from tests.support.link import Link
from tests.support.waiting import wait_for
from tests.trust.roles import Client


@pytest.fixture
def story(space: Space, backstage: Backstage, store: Database) -> Story:
    """A session that has said something and asks, of a workflow with a graph."""
    space.define(inputSchema=SCHEMA, status={"graph": GRAPH})
    story = begin_story(space, backstage, store, inputs={"file_path": "rivers.csv"})
    story.node("load")
    story.say("The level is **high**.")
    story.ask(question("q1", "Publish it?", options=[{"value": True, "label": "Publish"}]))
    return story


@dataclass(frozen=True)
class Case:
    """A part: how somebody comes to it, and what is there once it is."""

    file: str
    begin: str
    """Where the page is that fetches it; `NAMESPACE` stands for the test's."""
    reach: Callable[[Page], None]
    """What fetches it."""
    part: str
    alive: str
    """Something else of the page, that must stay."""


def click(role: str, name: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]  # a role of ARIA

    return act


SESSION = "/sessions/NAMESPACE/s1"
CASES = {
    "the drawing of a graph": Case(
        "GraphView-*.js", "/sessions?namespace=NAMESPACE", click("link", "s1"), "[data-node=load]", "[data-item=said]"
    ),
    "the styles of a graph": Case(
        "GraphView-*.css", "/sessions?namespace=NAMESPACE", click("link", "s1"), "[data-node=load]", "[data-item=said]"
    ),
    "the form of an answer": Case(
        "AnswerForm-*.js",
        "/sessions?namespace=NAMESPACE",
        click("link", "s1"),
        "[data-question=q1] button:has-text('Publish')",
        "[data-item=said]",
    ),
    "what draws messages": Case(
        "Markdown-*.js",
        "/sessions?namespace=NAMESPACE",
        click("link", "s1"),
        "[data-item=said] strong",
        "[data-item=said] >> text=The level is",
    ),
    "the resource": Case("Resource-*.js", SESSION, click("tab", "Resource"), "[data-yaml]", "role=tab[name=Activity]"),
    "an editor for YAML": Case(
        "YamlEditor-*.js",
        "/new/NAMESPACE/report",
        click("button", "YAML"),
        "role=textbox[name='Inputs of the session']",
        "role=button[name='Start the session']",
    ),
    "the session for kubectl": Case(
        "ManifestText-*.js",
        "/new/NAMESPACE/report",
        click("button", "Copy as YAML"),
        "[data-testid=manifest]",
        "role=dialog",
    ),
    "a menu": Case(
        "menu-content-*.js",
        "/sessions?namespace=NAMESPACE",
        lambda page: page.get_by_role("button", name="Namespace:").click(),
        "role=menuitem[name='Another namespace…']",
        "role=navigation",
    ),
    "a page": Case(
        "settings-*.js", SESSION, click("link", "Settings"), "role=heading[level=1][name=Settings]", "role=navigation"
    ),
    "a form's page": Case(
        "new-session-*.js",
        "/workflows/NAMESPACE/report",
        click("link", "Start report"),
        "role=button[name='Start the session']",
        "role=navigation",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_part_that_cannot_be_fetched_takes_nothing_else_and_comes_with_the_connection(
    case: Case,
    open_window: Callable[..., Visitor],
    alice: Client,
    story: Story,
    link: Link,
    backstage: Backstage,
) -> None:
    visitor = open_window(link.url)
    page = visitor.page
    held: list[Route] = []
    page.route(f"**/{case.file}", lambda route: held.append(route))
    visitor.sign_in(alice.token, case.begin.replace("NAMESPACE", story.space.name))
    expect(page.get_by_role("main").get_by_role("heading", level=1)).to_be_visible()
    case.reach(page)
    wait_for(lambda: page.evaluate("() => 0") or held, bool, what=f"the request for {case.file}")
    expect(page.locator(case.alive).first).to_be_visible()
    # The connection breaks while the file is on its way.
    backstage.do(link.shut)
    for route in held:
        route.continue_()
    page.unroute(f"**/{case.file}")

    failed = page.locator("[data-part=failed]")
    expect(failed.first).to_contain_text("could not be loaded")
    expect(failed.get_by_role("button", name="Load again").first).to_be_visible()
    expect(page.locator(case.alive).first).to_be_visible()
    expect(page.locator(case.part)).to_have_count(0)
    visitor.check_accessibility()

    backstage.run(link.open())
    expect(page.locator(case.part).first).to_be_visible()
    expect(failed).to_have_count(0)
    visitor.forgive_losses()


def test_a_graph_whose_styles_came_late_is_drawn_with_them(
    open_window: Callable[..., Visitor], alice: Client, story: Story, link: Link, backstage: Backstage
) -> None:
    visitor = open_window(link.url)
    page = visitor.page
    page.route("**/GraphView-*.css", lambda route: route.abort("connectionreset"))
    visitor.sign_in(alice.token, f"/workflows/{story.space.name}/report")
    expect(page.locator("[data-part=failed]")).to_be_visible()
    page.unroute("**/GraphView-*.css")
    node = page.locator("[data-node=load]")
    expect(node).to_be_visible()
    expect(page.locator(".react-flow__viewport")).to_have_css("position", "absolute")
    visitor.forgive_losses()


def test_a_part_is_loaded_by_its_button(visitor: Visitor, alice: Client, story: Story) -> None:
    page = visitor.page
    # Nothing in the page happens by a timer: what comes, comes by the button.
    page.clock.install()
    visitor.sign_in(alice.token, f"/sessions/{story.space.name}/s1")
    expect(page.locator("[data-item=said]")).to_be_visible()
    page.clock.pause_at(page.evaluate("() => Date.now() + 1000"))
    page.route("**/Resource-*.js", lambda route: route.abort("connectionreset"))
    page.get_by_role("tab", name="Resource").click()
    expect(page.locator("[data-part=failed]")).to_be_visible()
    page.unroute("**/Resource-*.js")
    page.get_by_role("button", name="Load again").click()
    expect(page.locator("[data-yaml]")).to_contain_text("kind: AgenticSession")
    visitor.forgive_losses()


def test_a_part_of_an_older_console_leads_to_the_newer_one(visitor: Visitor, alice: Client, story: Story) -> None:
    visitor.sign_in(alice.token, f"/sessions/{story.space.name}/s1")
    page = visitor.page
    expect(page.locator("[data-item=said]")).to_be_visible()
    # The gateway was replaced: it has a page with other names, and the old files no more.
    new = '<!doctype html><title>new</title><script type="module" src="./assets/index-new.js"></script>'
    later: list[Request] = []

    def answer_anew(route: Route) -> None:
        # Until there is a new page, the old one asks again and again, and must not find it.
        if later:
            route.continue_()
        else:
            route.fulfill(status=404, body="")

    page.route("**/Resource-*.js", answer_anew)
    page.route(visitor.address + "/", lambda route: route.fulfill(body=new, content_type="text/html"))
    page.get_by_role("tab", name="Resource").click()
    expect(page.locator("[data-part=failed]")).to_contain_text("was updated while this page was open")
    page.on("request", lambda request: later.append(request) if request.is_navigation_request() else None)
    with page.expect_navigation():
        page.get_by_role("button", name="Load again").click()
    expect(page.locator("[data-yaml]")).to_contain_text("kind: AgenticSession")


def test_a_page_whose_first_script_is_lost_says_so_and_loads_by_its_link(visitor: Visitor) -> None:
    page = visitor.page
    page.route("**/assets/index-*.js", lambda route: route.abort("connectionreset"))
    visitor.open("/sessions")
    notice = page.get_by_role("heading", name="This page did not load")
    expect(notice).to_be_visible()
    visitor.check_accessibility()
    page.unroute("**/assets/index-*.js")
    page.get_by_role("link", name="Load it again").click()
    expect(page.get_by_label("Token")).to_be_visible()
    expect(notice).to_have_count(0)
    visitor.forgive_losses()
