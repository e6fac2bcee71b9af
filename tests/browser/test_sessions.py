"""The list of sessions: what it shows, its filters in the address, views, searches, bulk actions, and keys."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.browser.samples import fill_space
from tests.support.browser import PHONE, Visitor
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.trust.roles import Client

Somebody = Callable[..., Client]


def row(page: Page, name: str) -> Locator:
    return page.locator(f'[role=row][data-session$="/{name}"]')


def count(page: Page, number: int) -> None:
    text = f"{number} session" + ("" if number == 1 else "s")
    expect(page.get_by_role("status").filter(has_text=re.compile(rf"^{text}$"))).to_be_visible()


def test_the_list_follows_what_happens_and_every_filter_is_in_the_address(
    visitor: Visitor, space: Space, alice: Client
) -> None:
    fill_space(space)
    visitor.sign_in(alice.token, f"/sessions?namespace={space.name}")
    page = visitor.page
    count(page, 8)
    expect(row(page, "rivers")).to_contain_text("Running")
    expect(row(page, "invoice-4711")).to_contain_text("Approve the payment of €4,200 to Rivers Ltd?")
    expect(page.get_by_role("columnheader").nth(2)).to_have_text("Phase")
    visitor.check_accessibility()
    visitor.take_pictures("sessions")

    # What happens is seen without a reload.
    space.report("rivers", phase="Failed", error={"type": "ValueError", "message": "no gauge at km 12"})
    expect(row(page, "rivers")).to_contain_text("no gauge at km 12")
    space.start("late")
    expect(row(page, "late")).to_be_visible()
    count(page, 9)

    page.get_by_label("Phase").select_option("Failed")
    expect(page).to_have_url(re.compile(r"[?&]phase=Failed"))
    count(page, 2)
    page.get_by_role("button", name="More filters").click()
    page.get_by_label("Workflow").fill("outliers")
    expect(page).to_have_url(re.compile(r"[?&]workflow=outliers"))
    count(page, 1)
    # Whoever is sent the address sees the same.
    page.reload()
    count(page, 1)
    expect(page.get_by_label("Workflow")).to_have_value("outliers")

    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="Save this view…").click()
    page.get_by_role("textbox", name="Name").fill("My failures")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Clear filters").click()
    count(page, 9)
    page.reload()
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="My failures", exact=True).click()
    expect(page).to_have_url(re.compile(r"phase=Failed&workflow=outliers|workflow=outliers&phase=Failed"))
    count(page, 1)

    page.get_by_label("Workflow").fill("no-such-workflow")
    expect(page.get_by_role("heading", name="No session matches")).to_be_visible()
    visitor.check_accessibility()


def test_sessions_are_found_by_their_inputs(visitor: Visitor, gateway: Gateway, space: Space, alice: Client) -> None:
    space.define("report")
    for number in (1, 2):
        body = {
            "metadata": {"name": f"s{number}"},
            "spec": {"workflowRef": {"name": "report"}, "inputs": {"page": number}},
        }
        assert gateway.call("POST", f"/api/v1/agentic-sessions/{space.name}", body, token=alice.token).code == 201
    visitor.sign_in(alice.token, f"/sessions?namespace={space.name}")
    page = visitor.page
    count(page, 2)
    page.keyboard.press("/")
    page.keyboard.type("just words")
    expect(page.get_by_role("alert")).to_contain_text("Write key=value")
    page.get_by_label("Search by input").fill("page=7")
    expect(page.get_by_role("heading", name="No session matches")).to_be_visible()
    expect(page).to_have_url(re.compile(r"[?&]input=page%3D7"))


def test_many_sessions_are_suspended_and_stopped_at_once(visitor: Visitor, space: Space, alice: Client) -> None:
    fill_space(space)
    visitor.sign_in(alice.token, f"/sessions?namespace={space.name}&workflow=report")
    page = visitor.page
    page.get_by_label("Select all that are loaded").check()
    bar = page.get_by_role("region", name=re.compile("selected"))
    expect(bar).to_contain_text("4 selected")
    visitor.check_accessibility()
    bar.get_by_role("button", name="Suspend").click()
    expect(bar.get_by_role("status")).to_contain_text("Suspend: 3 asked for.")
    assert space.session("rivers")["spec"]["suspend"] is True
    bar.get_by_role("button", name="Stop").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("cannot be taken back")
    visitor.check_accessibility()
    dialog.get_by_role("button", name="Keep running").click()
    assert space.session("rivers")["spec"].get("stop") is not True
    bar.get_by_role("button", name="Stop").click()
    dialog.get_by_role("button", name="Stop").click()
    expect(bar.get_by_role("status")).to_contain_text("Stop: 3 asked for.")
    assert space.session("rivers")["spec"]["stop"] is True


def test_sessions_that_failed_are_retried_at_once(visitor: Visitor, space: Space, alice: Client) -> None:
    space.define()
    for name in ("one", "two", "other"):
        space.start(name)
        space.report(name, phase="Creating", run=1)
        space.report(name, phase="Running")
    for name in ("one", "two"):
        space.report(name, phase="Failed", error={"type": "KeyError", "message": "no column", "retriable": False})
    visitor.sign_in(alice.token, f"/sessions?namespace={space.name}")
    page = visitor.page
    count(page, 3)
    page.get_by_label("Select all that are loaded").check()
    bar = page.get_by_role("region", name=re.compile("selected"))
    # Of all that are selected those alone that failed.
    bar.get_by_role("button", name="Retry").click()
    expect(bar.get_by_role("status")).to_contain_text("Retry: 2 asked for.")
    made = {each["metadata"]["name"] for each in space.sessions()} - {"one", "two", "other"}
    assert sorted(name.partition("-")[0] for name in made) == ["one", "two"]


def test_who_may_only_look_is_told_which_right_is_missing(visitor: Visitor, space: Space, somebody: Somebody) -> None:
    fill_space(space)
    visitor.sign_in(somebody("viewer", "agentic-view").token, f"/sessions?namespace={space.name}")
    page = visitor.page
    row(page, "rivers").get_by_role("checkbox").check()
    bar = page.get_by_role("region", name=re.compile("selected"))
    stop = bar.get_by_role("button", name="Stop")
    expect(stop).to_be_disabled()
    expect(stop).to_have_attribute("title", f"You lack the right to patch agenticsessions in {space.name}.")
    visitor.open("/sessions?namespace=kube-system")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("You may not do this")
    expect(alert).to_contain_text(re.compile(r'cannot list resource "agenticsessions"'))
    expect(alert).to_contain_text("kubectl auth can-i")
    visitor.check_accessibility()
    visitor.take_pictures("forbidden")


def test_the_list_is_worked_with_from_the_keyboard(visitor: Visitor, space: Space, alice: Client) -> None:
    fill_space(space)
    visitor.sign_in(alice.token, f"/sessions?namespace={space.name}&workflow=report")
    page = visitor.page
    count(page, 4)
    for key in ("j", "j", "k"):
        page.keyboard.press(key)
    current = page.locator("[role=row][data-current]")
    expect(current).to_have_attribute("aria-rowindex", "2")
    name = str(current.get_attribute("data-session"))
    page.keyboard.press("x")
    expect(page.get_by_role("region", name="1 selected")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    visitor.check_accessibility()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/sessions/{name}$"))
    for keys, place in (("gi", "inbox"), ("gw", "workflows"), ("g,", "settings"), ("gs", "sessions")):
        page.keyboard.type(keys)
        expect(page).to_have_url(re.compile(rf"/{place}"))


def test_an_empty_namespace_says_what_to_do(visitor: Visitor, space: Space, alice: Client) -> None:
    visitor.sign_in(alice.token, f"/sessions?namespace={space.name}")
    page = visitor.page
    expect(page.get_by_role("heading", name="No session yet")).to_be_visible()
    expect(page.get_by_text(f"agentic run <workflow> -n {space.name} --watch")).to_be_visible()
    visitor.check_accessibility()


def test_on_a_phone_nothing_is_cut_off(visitor: Visitor, space: Space, alice: Client) -> None:
    fill_space(space)
    page = visitor.page
    page.set_viewport_size(PHONE)
    visitor.sign_in(alice.token, f"/sessions?namespace={space.name}")
    count(page, 8)
    for path in ("/sessions", "/inbox", "/workflows", "/settings"):
        visitor.open(f"{path}?namespace={space.name}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        visitor.wait_within_width()
    visitor.check_accessibility()
