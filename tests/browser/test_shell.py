"""Signing in, finding one's way, and what is shown where there is nothing or not enough."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.browser import Visitor
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.prefix_proxy import running_prefix
from tests.trust.roles import Client

Somebody = Callable[..., Client]


def test_a_person_signs_in_with_a_token_that_is_in_no_address(visitor: Visitor, space: Space, alice: Client) -> None:
    page = visitor.page
    visitor.open(f"/sessions?namespace={space.name}&phase=Failed")
    expect(page).to_have_url(re.compile(r"/sign-in\?return="))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    visitor.check_accessibility()
    visitor.take_pictures("sign-in")

    page.get_by_label("Token").fill("not a token")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("one line without spaces")
    page.get_by_label("Token").fill("of-another-cluster")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("does not take this token")

    page.get_by_label("Token").fill(alice.token)
    page.get_by_role("button", name="Sign in", exact=True).click()
    # Back to where they were going, filters included.
    expect(page).to_have_url(re.compile(rf"/sessions\?namespace={space.name}&phase=Failed$"))
    assert all(alice.token not in request.url for request in visitor.requests)
    page.reload()
    expect(page.get_by_role("heading", name="Sessions")).to_be_visible()

    page.get_by_role("button", name=re.compile("alice")).click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("() => Object.values({...sessionStorage, ...localStorage}).join()").find(alice.token) == -1
    assert visitor.context.cookies() == []


def test_the_pages_policy_allows_nothing_unsafe_and_refuses_inline_scripts(visitor: Visitor, gateway: Gateway) -> None:
    reply = gateway.call("GET", "/sessions", headers={"Accept": "text/html"})
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "data:" not in policy
    visitor.open("/sign-in")
    page = visitor.page
    page.get_by_role("heading", name="Sign in").wait_for()
    page.evaluate(
        "() => { const made = document.createElement('script'); made.textContent = 'window.ran = true';"
        " document.body.append(made); }"
    )
    assert page.evaluate("() => window.ran") is None
    assert any("Content Security Policy" in fault for fault in visitor.faults)
    visitor.faults.clear()


def test_a_namespace_is_chosen_among_those_that_one_may_look_into(
    visitor: Visitor, space: Space, alice: Client, somebody: Somebody
) -> None:
    visitor.sign_in(alice.token)
    page = visitor.page
    # The only one that is known of somebody who may not list namespaces is their own.
    expect(page.get_by_role("button", name=f"Namespace: {space.name}")).to_be_visible()
    page.get_by_role("button", name="Namespace:").click()
    expect(page.get_by_role("menuitemcheckbox")).to_have_text([space.name])
    visitor.check_accessibility()
    page.get_by_role("menuitem", name="Another namespace…").click()
    page.get_by_label("Namespace", exact=True).fill("kube-public")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page).to_have_url(re.compile(r"/sessions\?namespace=kube-public"))
    expect(page.get_by_role("alert")).to_contain_text("You may not do this")


def test_a_menu_is_worked_with_from_the_keyboard_and_gives_the_focus_back(
    visitor: Visitor, space: Space, alice: Client
) -> None:
    visitor.sign_in(alice.token)
    page = visitor.page
    button = page.get_by_role("button", name=f"Namespace: {space.name}")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu", name=f"Namespace: {space.name}")
    expect(menu).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("End")
    expect(page.get_by_role("menuitem", name="Another namespace…")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    expect(button).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(menu).to_be_visible()
    # Its button closes it, and opens it again.
    button.click()
    expect(menu).to_have_count(0)
    button.click()
    expect(menu).to_be_visible()
    page.get_by_role("heading", level=1).click()
    expect(menu).to_have_count(0)


def test_a_lost_gateway_is_said_and_what_was_shown_stays(visitor: Visitor, space: Space, alice: Client) -> None:
    space.define()
    space.start("s1")
    visitor.sign_in(alice.token, f"/sessions?namespace={space.name}")
    page = visitor.page
    expect(page.get_by_role("link", name="s1")).to_be_visible()
    visitor.context.set_offline(True)
    expect(page.get_by_text("The gateway does not answer").first).to_be_visible()
    expect(page.get_by_role("link", name="s1")).to_be_visible()
    visitor.check_accessibility()
    visitor.context.set_offline(False)
    expect(page.get_by_text("The gateway does not answer")).to_have_count(0)
    visitor.forgive_losses()


def test_an_address_that_no_page_has_says_so(visitor: Visitor, alice: Client) -> None:
    visitor.sign_in(alice.token)
    visitor.open("/no/such/page")
    expect(visitor.page.get_by_role("heading", name="There is no such page")).to_be_visible()
    visitor.check_accessibility()


def test_the_console_works_behind_a_path_prefix(
    open_window: Callable[..., Visitor], gateway: Gateway, space: Space, alice: Client
) -> None:
    space.define()
    space.start("s1")
    with running_prefix(gateway.address, "/agents/console") as address:
        visitor = open_window(address)
        visitor.open(f"/sessions?namespace={space.name}")
        page = visitor.page
        expect(page).to_have_url(re.compile(r"/agents/console/sign-in\?return="))
        page.get_by_label("Token").fill(alice.token)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("link", name="s1")).to_be_visible()
        # A deep address, loaded anew: every file and request is below the prefix.
        visitor.open(f"/workflows/{space.name}/report")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.get_by_role("link", name="Settings").click()
        expect(page.get_by_text(f"system:serviceaccount:{space.name}:alice", exact=True)).to_be_visible()
        assert all("/agents/console/" in request.url for request in visitor.requests)
