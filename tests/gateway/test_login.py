"""Log-in of browsers at a real OpenID provider, before an API server that trusts it; and every way round it."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.login_site import Site, running_site
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import wait_for

COOKIE = "__Host-agentic-login"


@pytest.fixture(scope="module")
def site(events: PostgresDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # Shorter than what is refreshed early: every request of a log-in refreshes it.
    with running_site(events, tmp_path_factory.mktemp("login"), id_token_seconds=25) as made:
        yield made


def test_a_person_logs_in_and_acts_as_themselves(site: Site) -> None:
    browser = site.open_browser()
    assert browser.get("/api/v1/myself").status_code == 401
    answer = browser.log_in("/auth/login?return=/sessions/s1%3Fx%3D1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sessions/s1?x=1")
    cookies = answer.headers.get_list("set-cookie")
    (made,) = [each for each in cookies if each.startswith(f"{COOKIE}=")]
    attributes = {part.strip().lower() for part in made.split(";")[1:]}
    assert {"httponly", "secure", "path=/", "samesite=lax"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)
    # What the log-in began with is gone.
    assert any("agentic-flow" in each and "Max-Age=0" in each for each in cookies)
    assert browser.get("/api/v1/myself").json() == {
        "username": "oidc:alice",
        "groups": ["oidc:reviewers", "system:authenticated"],
        "via": "login",
    }
    body = {"metadata": {"name": "s1"}, "spec": {"workflowRef": {"name": "report"}, "inputs": {"topic": "x"}}}
    created = browser.send("POST", "/api/v1/agentic-sessions/people", body)
    assert created.status_code == 201, created.text
    # The API server saw the person: its policies would have refused another name.
    assert site.space.session("s1")["spec"]["createdBy"] == "oidc:alice"


def test_a_page_is_told_that_it_may_send_its_person_to_log_in(site: Site) -> None:
    assert site.open_browser().get("/auth/ways").json() == {"login": True, "proxy": False}


def test_no_log_and_no_row_holds_what_somebody_could_use(site: Site) -> None:
    browser = site.open_browser()
    callback = browser.reach_callback()
    browser.get(callback)
    cookie = browser.client.cookies[COOKIE]
    browser.get("/api/v1/myself")
    code = parse_qs(urlsplit(callback).query)["code"][0]
    rows = site.database.execute("SELECT hash::text, username, sealed::text, sealed FROM gateway_logins")
    shown = str(rows) + "".join(bytes(row[3]).decode("latin-1") for row in rows)
    for secret in (cookie, code, "s3cret", "eyJ"):
        assert secret not in site.log
        assert secret not in shown
    assert "oidc:alice" in site.log


def test_a_log_in_ends_only_in_the_browser_that_began_it(site: Site) -> None:
    victim, attacker = site.open_browser(), site.open_browser()
    before = site.count_logins()
    # The attacker's own code, brought to the victim's browser: it would work under the attacker's name.
    answer = victim.get(attacker.reach_callback(person="mallory"))
    assert answer.status_code == 400
    # The victim has begun a log-in of their own: its state is another one.
    own = parse_qs(urlsplit(victim.reach_callback()).query)
    foreign = parse_qs(urlsplit(attacker.reach_callback(person="mallory")).query)
    for changed in (
        {**own, "state": foreign["state"]},
        {**own, "state": ["x" * 43]},
        {**own, "state": [own["state"][0][:12]]},
        {**own, "state": [""]},
    ):
        assert victim.get(f"/auth/callback?{urlencode(changed, doseq=True)}").status_code == 400
    # Mixed up: the attacker's code with the victim's state. PKCE and nonce are of another log-in.
    own = parse_qs(urlsplit(victim.reach_callback()).query)
    mixed = {**own, "code": foreign["code"]}
    assert victim.get(f"/auth/callback?{urlencode(mixed, doseq=True)}").status_code == 401
    assert site.count_logins() == before
    assert COOKIE not in victim.client.cookies


def test_a_code_serves_once(site: Site) -> None:
    browser = site.open_browser()
    callback = browser.reach_callback()
    flow = dict(browser.client.cookies)
    assert browser.get(callback).status_code == 303
    # Again as it is: the browser's part is gone.
    assert browser.get(callback).status_code == 400
    # Again with the browser's part, by whoever copied both.
    thief = site.open_browser()
    for name, value in flow.items():
        thief.client.cookies.set(name, value)
    assert thief.get(callback).status_code == 401


@pytest.mark.parametrize(
    "change", [{"iss": ["https://evil.example"]}, {"iss": []}, {"code": []}, {"code": ["made-up"]}]
)
def test_an_answer_of_somebody_else_is_refused(site: Site, change: dict[str, list[str]]) -> None:
    browser = site.open_browser()
    found = {**parse_qs(urlsplit(browser.reach_callback()).query), **change}
    answer = browser.get(f"/auth/callback?{urlencode(found, doseq=True)}")
    assert answer.status_code in (400, 401)
    assert COOKIE not in browser.client.cookies


def test_a_code_of_another_client_of_the_provider_is_refused(site: Site) -> None:
    browser = site.open_browser()
    begun = browser.get("/auth/login").headers["location"]
    parts = urlsplit(begun)
    query = {**parse_qs(parts.query), "client_id": ["another"]}
    site_address = f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(query, doseq=True)}"
    answer = browser.get(browser.follow(browser.get(site_address)))
    assert answer.status_code == 401


def test_what_the_provider_refuses_is_told_without_its_words(site: Site) -> None:
    browser = site.open_browser()
    state = parse_qs(urlsplit(browser.get("/auth/login").headers["location"]).query)["state"][0]
    query = {"state": state, "iss": site.provider.issuer, "error": "<script>alert(1)</script>"}
    answer = browser.get(f"/auth/callback?{urlencode(query)}")
    assert answer.status_code == 403
    assert "script" not in answer.text


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/\\evil.example", "/%09/evil.example"])
def test_a_log_in_leads_nowhere_else(site: Site, path: str) -> None:
    answer = site.open_browser().log_in(f"/auth/login?return={path}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_no_address_that_anybody_sends_is_fetched(site: Site) -> None:
    hits: list[str] = []

    class Canary(BaseHTTPRequestHandler):
        def handle(self) -> None:
            hits.append(str(self.client_address))

    with ThreadingHTTPServer(("127.0.0.1", 0), Canary) as canary, ThreadPoolExecutor(1) as serving:
        serving.submit(canary.serve_forever)
        try:
            _send_addresses(site, f"http://127.0.0.1:{canary.server_port}")
            assert hits == []
            # It would have heard of any.
            with socket.create_connection(("127.0.0.1", canary.server_port)):
                wait_for(lambda: hits, bool, what="the canary heard of a connection")
        finally:
            canary.shutdown()


def _send_addresses(site: Site, canary: str) -> None:
    """Send an address wherever somebody could take one for something to fetch."""
    browser = site.open_browser()
    key = RSAKey.generate_key(2048, {"kid": "k1"})
    for header in ({"jku": f"{canary}/jwks"}, {"x5u": f"{canary}/x5u"}, {}):
        claims = {"iss": canary, "aud": "gateway", "sub": "alice", "exp": 4_102_444_800}
        token = jwt.encode({"alg": "RS256", "kid": "k1", **header}, claims, key)
        assert browser.get("/api/v1/myself", Authorization=f"Bearer {token}").status_code == 401
    state = parse_qs(urlsplit(browser.get("/auth/login").headers["location"]).query)["state"][0]
    query = urlencode({"state": state, "code": "x", "iss": canary})
    assert browser.get(f"/auth/callback?{query}").status_code == 400
    assert browser.log_in(f"/auth/login?return={canary}").headers["location"] == "/"
    elsewhere = {"Host": urlsplit(canary).netloc, "X-Forwarded-Host": urlsplit(canary).netloc, "Forwarded": canary}
    assert browser.get("/api/v1/namespaces", **elsewhere).status_code in (200, 400, 401, 403)
    for schema in ({"$ref": f"{canary}/schema"}, {"$schema": f"{canary}/draft"}, {"$dynamicRef": f"{canary}#a"}):
        judged = browser.send("POST", "/api/v1/schemas/check", {"schema": schema, "instance": 1})
        assert judged.status_code == 400 or not judged.json()["valid"], judged.text
    spec = {"image": f"{canary[7:]}/x:1", "inputSchema": {"$ref": f"{canary}/schema"}}
    body = {"metadata": {"generateName": "canary-"}, "spec": spec}
    browser.send("POST", "/api/v1/workflow-definitions/people?dryRun=true", body)
    inputs = {"topic": canary, "callback": canary, "webhook": {"url": canary}}
    session = {"metadata": {"name": "canary"}, "spec": {"workflowRef": {"name": "report"}, "inputs": inputs}}
    assert browser.send("POST", "/api/v1/agentic-sessions/people", session).status_code in (201, 400)


def test_pages_of_other_sites_cannot_use_a_log_in(site: Site) -> None:
    browser = site.open_browser()
    browser.log_in()
    path = "/api/v1/agentic-sessions/people"
    body = {
        "metadata": {"generateName": "forged-"},
        "spec": {"workflowRef": {"name": "report"}, "inputs": {"topic": "x"}},
    }
    for headers in (
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        refused = browser.send("POST", path, body, **headers)
        assert refused.status_code == 403, headers
    # A form: no header of one's own.
    forged = browser.client.post(site.gateway.address + path, json=body, headers={"Origin": site.gateway.address})
    assert forged.status_code == 403
    assert browser.client.post(f"{site.gateway.address}/auth/logout").status_code == 403
    assert browser.get("/api/v1/myself", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.get("/api/v1/myself").status_code == 200
    items = site.plane.request("GET", "/apis/agentic-operator.dev/v1alpha1/namespaces/people/agenticsessions")["items"]
    assert not [each for each in items if each["metadata"]["name"].startswith("forged-")]
    # A program with a token sends no such headers.
    token = site.plane.service_account_token("people", "robot")
    answer = site.open_browser().get("/api/v1/myself", Authorization=f"Bearer {token}")
    assert answer.json()["via"] == "token"


async def test_a_web_socket_with_a_log_in_is_opened_by_the_gateways_page_alone(site: Site) -> None:
    browser = site.open_browser()
    await asyncio.to_thread(browser.log_in)
    site.space.start("ws1")
    context = ssl.create_default_context(cafile=str(site.authority.pair.certificate))
    address = f"{site.gateway.address.replace('https', 'wss')}/ws?namespace=people&sessionName=ws1"

    async def follow(origin: str | None) -> int:
        headers = {"Cookie": f"{COOKIE}={browser.client.cookies[COOKIE]}"}
        made: Any = connect(address, additional_headers=headers, origin=origin, proxy=None, ssl=context)  # type: ignore[arg-type]  # a text
        try:
            async with made:
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    assert await follow("https://evil.example") == 403
    assert await follow("null") == 403
    assert await follow(None) == 403
    assert await follow(site.gateway.address) == 101


def test_a_log_in_is_refreshed_by_one_replica_at_a_time(site: Site) -> None:
    browser = site.open_browser()
    browser.log_in()
    cookie = browser.client.cookies[COOKIE]

    def ask(number: int) -> int:
        replica = (site.gateway, site.replica)[number % 2]
        other = site.open_browser()
        return other.client.get(
            f"{replica.address}/api/v1/myself", headers={"Cookie": f"{COOKIE}={cookie}"}
        ).status_code

    # A refresh token that is used twice ends the log-in at this provider.
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, range(12))) == {200}
    assert ask(0) == 200
    assert site.database.execute("SELECT max(version) FROM gateway_logins")[0][0] >= 2


def test_a_log_in_that_is_over_is_over_everywhere(site: Site) -> None:
    browser = site.open_browser()
    browser.log_in()
    cookie = {"Cookie": f"{COOKIE}={browser.client.cookies[COOKIE]}"}
    left = browser.send("POST", "/auth/logout")
    assert left.status_code == 200
    assert left.json()["endSession"].startswith(f"{site.provider.issuer}/session/end?client_id=gateway")
    assert COOKIE not in browser.client.cookies
    for replica in (site.gateway, site.replica):
        other = site.open_browser()
        assert other.client.get(f"{replica.address}/api/v1/myself", headers=cookie).status_code == 401
    # Its time is over.
    again = site.open_browser()
    again.log_in()
    assert again.get("/api/v1/myself").status_code == 200
    site.database.execute("UPDATE gateway_logins SET expires_at = now()")
    assert again.get("/api/v1/myself").status_code == 401
    for made_up in ("", "x", "A" * 43):
        other = site.open_browser()
        answer = other.get("/api/v1/myself", Cookie=f"{COOKIE}={made_up}")
        assert answer.status_code == 401


def test_certificates_are_replaced_while_it_serves(site: Site) -> None:
    port = int(urlsplit(site.replica.address).port or 0)

    def show() -> str:
        return ssl.get_server_certificate(("127.0.0.1", port))

    folder = site.authority.pair.certificate.parent
    served, key = folder / "gateway.crt", folder / "gateway.key"
    before, old = show(), (served.read_bytes(), key.read_bytes())
    assert before.split() == served.read_text().split()
    pair = site.authority.issue("gateway-2", "gateway", names=["127.0.0.1", "gateway.example"])
    try:
        # Half of it: certificate and key do not fit.
        served.write_bytes(pair.certificate.read_bytes())
        wait_for(lambda: "cannot be read again" in site.replica.log, bool, what="the wrong pair noticed")
        assert show() == before
        key.write_bytes(pair.key.read_bytes())
        wait_for(show, lambda found: found != before, what="the new certificate served")
        assert show().split() == pair.certificate.read_text().split()
        assert site.open_browser().get("/healthz").status_code == 200
    finally:
        served.write_bytes(old[0])
        key.write_bytes(old[1])
    wait_for(show, lambda found: found == before, what="the old certificate served again")


def test_a_page_of_a_browser_is_told_what_it_may_do(site: Site) -> None:
    headers = site.open_browser().get("/api/v1/myself").headers
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
    assert json.loads(site.open_browser().get("/api/v1/myself").text)["status"] == 401
