"""Coming in without a token: by a log-in at a real OpenID provider, and through a proxy that names people."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from hack.cluster.certificates import Authority
from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from tests.gateway.test_proxy import grant_impersonation
from tests.support.browser import Visitor, running_chromium
from tests.support.gateway import Gateway, running_gateway
from tests.support.identity_proxy import running_identity_proxy
from tests.support.kube import Space
from tests.support.login_site import Site, running_site
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import wait_for
from tests.trust.roles import a_user, an_account


@pytest.fixture(scope="module")
def site(events: PostgresDatabase, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A provider, and gateways that serve the console to whoever logs in there."""
    with running_site(events, tmp_path_factory.mktemp("login"), CONSOLE_DIR=str(dist)) as made:
        yield made


@dataclass(frozen=True)
class Front:
    """A gateway behind a proxy that names ann, and where that proxy is."""

    gateway: Gateway
    address: str


@pytest.fixture(scope="module")
def front(
    control_plane: ControlPlane, events: PostgresDatabase, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    (port,) = find_free_ports(1)
    authority = Authority(folder / "pki")
    authority.create()
    pair = authority.issue("proxy", "proxy", names=["127.0.0.1"])
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": "front"}})
    path = "/api/v1/namespaces/front/serviceaccounts"
    control_plane.request("POST", path, {"metadata": {"name": "gateway"}})
    grant_impersonation(control_plane, "gateway", "front")
    (folder / "proxy-token").write_text(an_account(control_plane, "front", "gateway").token)
    (folder / "secret").write_text("between-us\n")
    with running_gateway(
        control_plane,
        events,
        folder,
        CONSOLE_DIR=str(dist),
        PUBLIC_URL=f"https://127.0.0.1:{port}",
        PROXY_USER_HEADER="X-Forwarded-User",
        PROXY_GROUPS_HEADER="X-Forwarded-Groups",
        PROXY_ADDRESSES="127.0.0.1",
        PROXY_SECRET_FILE=str(folder / "secret"),
        IMPERSONATE_USERS="ann",
        IMPERSONATE_GROUPS="reviewers",
        KUBERNETES_TOKEN_FILE=str(folder / "proxy-token"),
    ) as gateway:
        named = {"X-Forwarded-User": "ann", "X-Forwarded-Groups": "reviewers", "X-Agentic-Proxy-Secret": "between-us"}
        with running_identity_proxy(gateway.address, port, pair, named) as address:
            yield Front(gateway, address)


@pytest.fixture(scope="module")
def chromium(site: Site, front: Front) -> Iterator[Browser]:
    """A browser, opened after the servers are up."""
    del site, front
    with running_chromium() as browser:
        yield browser


def test_a_person_logs_in_at_their_organisation_acts_in_their_own_name_and_logs_out(
    open_window: Callable[..., Visitor], site: Site
) -> None:
    visitor = open_window(site.gateway.address, ignore_https_errors=True)
    page = visitor.page
    visitor.open("/workflows/people/report")
    expect(page).to_have_url(re.compile(r"/sign-in\?return="))
    link = page.get_by_role("link", name="Continue with your organisation")
    expect(link).to_be_visible()
    visitor.check_accessibility()
    visitor.take_pictures("sign-in-organisation")
    link.click()
    # Back to where they were going.
    expect(page).to_have_url(f"{site.gateway.address}/workflows/people/report")
    page.get_by_role("button", name="oidc:alice").click()
    expect(page.get_by_text("by your organisation")).to_be_visible()
    page.keyboard.press("Escape")

    # The browser has a cookie that no script reads, and nothing else.
    (cookie,) = [each for each in visitor.context.cookies(site.gateway.address) if "login" in (each.get("name") or "")]
    assert (cookie.get("httpOnly"), cookie.get("secure"), cookie.get("sameSite")) == (True, True, "Lax")
    kept = page.evaluate("() => JSON.stringify([{...sessionStorage, ...localStorage}, document.cookie])")
    assert (cookie.get("value") or "?") not in kept
    assert "eyJ" not in kept
    sent = [each for each in visitor.requests if each.url.startswith(site.gateway.address + "/api/")]
    assert sent
    assert not any("authorization" in each.headers for each in sent)

    # What they do, they do in their own name; what happens comes by a stream.
    page.get_by_role("link", name="Start report").click()
    page.get_by_role("button", name="Start the session").click()
    expect(page).to_have_url(re.compile("/sessions/people/[^/]+$"))
    name = page.url.rpartition("/")[2]
    assert site.space.session(name)["spec"]["createdBy"] == "oidc:alice"
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    page.reload()
    expect(page.locator("[data-connection=connected]")).to_be_visible()

    page.get_by_role("button", name="oidc:alice").click()
    page.get_by_role("menuitem", name="Sign out").click()
    # And the provider's own session ends, too.
    expect(page).to_have_url(re.compile(re.escape(site.provider.issuer)))
    assert site.count_logins() == 0
    visitor.open("/sessions?namespace=people")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    forgive_provider(visitor, site)


def test_a_log_in_that_ends_meanwhile_leads_to_the_provider_and_back_to_the_page(
    open_window: Callable[..., Visitor], site: Site
) -> None:
    site.space.start("s1")
    visitor = open_window(site.gateway.address, ignore_https_errors=True)
    page = visitor.page
    visitor.open("/sessions/people/s1?tab=resource")
    page.get_by_role("link", name="Continue with your organisation").click()
    expect(page.locator("[data-yaml]")).to_be_visible()
    site.database.execute("DELETE FROM gateway_logins")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_role("link", name="Continue with your organisation").click()
    expect(page.locator("[data-yaml]")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/sessions/people/s1\?tab=resource$"))
    forgive_provider(visitor, site)


def test_somebody_whom_the_provider_knows_and_the_cluster_gives_no_right_is_told_which_one(
    open_window: Callable[..., Visitor], site: Site
) -> None:
    # As whom the provider lets somebody in.
    headers = {"X-Test-Login": "mallory"}
    visitor = open_window(site.gateway.address, ignore_https_errors=True, extra_http_headers=headers)
    page = visitor.page
    visitor.open("/sessions?namespace=people")
    page.get_by_role("link", name="Continue with your organisation").click()
    expect(page.get_by_role("button", name="oidc:mallory")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text('cannot list resource "agenticsessions"')
    forgive_provider(visitor, site)


def forgive_provider(visitor: Visitor, site: Site) -> None:
    """Take out of the faults that the browser went to the provider, and what the provider's own page asked for."""
    for request in visitor.requests:
        if request.url.startswith(site.provider.issuer):
            assert request.is_navigation_request() or request.url.endswith("favicon.ico"), request.url
    foreign = re.compile(
        rf"fetched ({re.escape(site.provider.issuer)}|https://fonts\.)"
        r"|Failed to load resource: net::ERR_NAME_NOT_RESOLVED"
    )
    visitor.faults[:] = [each for each in visitor.faults if not foreign.search(each)]


def test_whom_a_trusted_proxy_names_is_in_without_a_word(
    open_window: Callable[..., Visitor], front: Front, space: Space
) -> None:
    a_user(space.plane, space.name, "agentic-view", "agentic-edit", name="ann")
    space.define()
    # What a client says of itself is taken away.
    forged = {"X-Forwarded-User": "boss", "X-Forwarded-Groups": "system:masters"}
    visitor = open_window(front.address, ignore_https_errors=True, extra_http_headers=forged)
    page = visitor.page
    visitor.open(f"/workflows/{space.name}/report")
    page.get_by_role("button", name="ann", exact=True).click()
    expect(page.get_by_text("by the proxy in front")).to_be_visible()
    # Whoever the proxy names signs out at the proxy.
    expect(page.get_by_role("menuitem", name="Sign out")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Start report").click()
    page.get_by_role("button", name="Start the session").click()
    expect(page).to_have_url(re.compile(rf"/sessions/{space.name}/[^/]+$"))
    made = space.session(page.url.rpartition("/")[2])
    assert made["spec"]["createdBy"] == "ann"
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    assert visitor.context.cookies() == []


def test_who_comes_round_the_proxy_is_told_so(open_window: Callable[..., Visitor], front: Front) -> None:
    visitor = open_window(front.gateway.address, extra_http_headers={"X-Forwarded-User": "ann"})
    visitor.open("/sessions")
    expect(visitor.page.get_by_text("The proxy in front of this gateway names who you are")).to_be_visible()
    wait_for(lambda: visitor.page.url, lambda url: "/sign-in" in url, what="the way in")
