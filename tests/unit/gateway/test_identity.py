"""Who is believed: proxies, settings, tokens of the cluster, and what secrets open."""

import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection

from agentic_gateway.auth.identity import Identities, require_single
from agentic_gateway.auth.proxy import TrustedProxy, choose_groups
from agentic_gateway.auth.sealing import derive, make_secret, read_secret, seal, unseal
from agentic_gateway.auth.settings import read_identity
from agentic_gateway.config import InvalidSetting, Variables
from agentic_gateway.kube.client import Kube, OnBehalf, build_headers
from agentic_gateway.kube.own_token import OwnToken
from agentic_gateway.problems import Refused
from tests.support.commands import ROOT

Pairs = list[tuple[str, str]]


def a_request(headers: Pairs, address: str = "10.1.2.3") -> HTTPConnection:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return HTTPConnection({"type": "http", "headers": raw, "client": (address, 1), "query_string": b"", "path": "/"})


def a_proxy(**changes: Any) -> TrustedProxy:
    parts: dict[str, Any] = {
        "user_header": "x-forwarded-user",
        "groups_header": "x-forwarded-groups",
        "networks": (ip_network("10.1.0.0/16"),),
        "secret": "s3cret",
        "has_client_certificates": False,
        "users": frozenset({"alice"}),
        "groups": frozenset({"reviewers", "system:masters"}),
    }
    return TrustedProxy(**{**parts, **changes})


GOOD: Pairs = [
    ("X-Forwarded-User", "alice"),
    ("X-Forwarded-Groups", "reviewers, admins,system:masters"),
    ("X-Agentic-Proxy-Secret", "s3cret"),
]


def test_the_proxy_names_people_of_the_list_and_groups_of_the_list() -> None:
    assert a_proxy().find_person(a_request(GOOD)) == ("alice", ("reviewers",))
    assert a_proxy().find_person(a_request(GOOD, "::ffff:10.1.2.3")) == ("alice", ("reviewers",))
    assert a_proxy().find_person(a_request([("X-Agentic-Proxy-Secret", "s3cret")])) is None


@pytest.mark.parametrize(
    ("headers", "address", "changes", "status"),
    [
        (GOOD, "192.0.2.1", {}, 401),
        (GOOD, "unix", {}, 401),
        (GOOD[:2], "10.1.2.3", {}, 401),
        ([*GOOD[:2], ("X-Agentic-Proxy-Secret", "wrong")], "10.1.2.3", {}, 401),
        ([*GOOD, GOOD[2]], "10.1.2.3", {}, 401),
        ([*GOOD, ("X-Forwarded-User", "bob")], "10.1.2.3", {}, 401),
        (GOOD, "10.1.2.3", {"networks": (), "secret": ""}, 401),
        ([("X-Forwarded-User", "bob"), *GOOD[2:]], "10.1.2.3", {}, 403),
        ([("X-Forwarded-User", "system:admin"), *GOOD[2:]], "10.1.2.3", {"users": frozenset({"system:admin"})}, 403),
    ],
)
def test_nobody_else_names_anybody(headers: Pairs, address: str, changes: dict[str, Any], status: int) -> None:
    with pytest.raises(Refused) as refused:
        a_proxy(**changes).find_person(a_request(headers, address))
    assert refused.value.status == status


@given(st.lists(st.text()), st.frozensets(st.text()))
def test_groups_are_only_ever_dropped(lists: list[str], allowed: frozenset[str]) -> None:
    found = choose_groups(lists, allowed)
    assert set(found) <= allowed
    assert not any(group.startswith("system:") for group in found)


def test_each_group_is_a_header_of_its_own() -> None:
    headers = build_headers(OnBehalf("own", "alice", ("a", "b")))
    assert headers.getall("Impersonate-Group") == ["a", "b"]
    assert (headers["Impersonate-User"], headers["Authorization"]) == ("alice", "Bearer own")
    assert "Impersonate-User" not in build_headers("token")
    assert "own" not in repr(OnBehalf("own", "alice"))


def test_a_credential_that_stands_twice_is_refused() -> None:
    require_single(Headers({"authorization": "Bearer a"}), QueryParams("token=a"))
    for headers, query in (
        (Headers(raw=[(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]), QueryParams("")),
        (Headers({}), QueryParams("token=a&token=b")),
        (Headers({}), QueryParams("ticket=a&ticket=a")),
    ):
        with pytest.raises(Refused):
            require_single(headers, query)


class Reviews:
    """An API server that knows some tokens, and counts how often it is asked."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self.known = dict(known)
        self.asked = 0

    async def request(self, *_: object, token: Any, **__: object) -> Any:
        self.asked += 1
        name = token.user if isinstance(token, OnBehalf) else self.known.get(token)
        if name is None:
            raise Refused("not-authenticated", "Unauthorized")
        return {"status": {"userInfo": {"username": name, "groups": ["g"]}}}


async def test_callers_are_remembered_for_seconds_and_unknown_tokens_too() -> None:
    now = [0.0]
    reviews = Reviews({"a": "alice"})
    identities = Identities(cast("Kube", reviews), clock=lambda: now[0])
    assert (await identities.identify("a")).name == "alice"
    assert (await identities.identify("a")).token == "a"
    assert reviews.asked == 1
    for _ in range(5):
        with pytest.raises(Refused):
            await identities.identify("b")
    assert reviews.asked == 2
    reviews.known = {"b": "bob"}
    now[0] = 3.0
    assert (await identities.identify("b")).name == "bob"
    now[0] = 11.0
    with pytest.raises(Refused):
        await identities.identify("a")
    # A token that reads like somebody's name is a token.
    assert (await identities.identify(OnBehalf("own", "b"))).name == "b"
    assert (await identities.identify("b")).name == "bob"
    # The gateway's own token was replaced meanwhile.
    assert (await identities.identify(OnBehalf("newer", "b"))).token == OnBehalf("newer", "b")


def test_a_secret_opens_its_row_alone() -> None:
    one, two = make_secret(), make_secret()
    assert one != two
    raw, other = read_secret(one), read_secret(two)
    assert raw is not None
    assert other is not None
    assert derive(raw, "a") != derive(raw, "b")
    assert derive(raw, "a") != raw
    sealed = seal(derive(raw, "key"), "the token", "row 1")
    assert b"the token" not in sealed
    assert unseal(derive(raw, "key"), sealed, "row 1") == "the token"
    assert unseal(derive(raw, "key"), sealed, "row 2") is None
    assert unseal(derive(other, "key"), sealed, "row 1") is None
    assert unseal(derive(raw, "key"), sealed[:-1], "row 1") is None
    assert unseal(derive(raw, "key"), b"", "row 1") is None


@given(st.text())
def test_what_is_no_secret_is_none(text: str) -> None:
    found = read_secret(text)
    assert found is None or len(found) == 32


def test_the_own_token_is_read_again(tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "token"
    file.write_text("one\n")
    own = OwnToken(file, clock=lambda: now[0])
    assert own.read() == "one"
    file.write_text("two\n")
    assert own.read() == "one"
    now[0] = 61.0
    assert own.read() == "two"


OIDC = {"PUBLIC_URL": "https://a.example", "OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "gateway"}
PROXY = {
    "PUBLIC_URL": "https://a.example",
    "PROXY_USER_HEADER": "X-Forwarded-User",
    "PROXY_ADDRESSES": "10.0.0.1",
    "IMPERSONATE_USERS": "alice",
}


def test_nothing_but_tokens_is_believed_by_default() -> None:
    found = read_identity(Variables())
    assert (found.client, found.proxy, found.origins.own, found.origins.named) == (None, None, "", frozenset())


def test_ways_in_are_read_from_settings(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s\n")
    found = read_identity(Variables(**OIDC, OIDC_CLIENT_SECRET_FILE=str(tmp_path / "secret")))
    assert found.client is not None
    assert (found.client.secret, found.client.redirect_uri) == ("s", "https://a.example/auth/callback")
    found = read_identity(Variables(**PROXY))
    assert found.proxy is not None
    assert found.proxy.user_header == "x-forwarded-user"


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"PUBLIC_URL": "a.example"}, "PUBLIC_URL"),
        ({"PUBLIC_URL": "https://a.example/gateway"}, "PUBLIC_URL"),
        ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
        ({"CORS_ORIGINS": "https://a.example,null"}, "CORS_ORIGINS"),
        ({**OIDC, "PUBLIC_URL": ""}, "PUBLIC_URL"),
        ({**OIDC, "PUBLIC_URL": "http://a.example"}, "PUBLIC_URL"),
        ({**OIDC, "OIDC_ISSUER": "http://id.example"}, "OIDC_ISSUER"),
        ({**OIDC, "OIDC_CLIENT_ID": ""}, "OIDC_CLIENT_ID"),
        ({**OIDC, "OIDC_SCOPES": "email"}, "OIDC_SCOPES"),
        ({**OIDC, "OIDC_CLIENT_SECRET_FILE": "/nowhere"}, "OIDC_CLIENT_SECRET_FILE"),
        ({**PROXY, "PUBLIC_URL": ""}, "PUBLIC_URL"),
        ({**PROXY, "PROXY_ADDRESSES": ""}, "PROXY_USER_HEADER"),
        ({**PROXY, "PROXY_ADDRESSES": "10.0.0.1/8"}, "PROXY_ADDRESSES"),
        ({**PROXY, "PROXY_ADDRESSES": "0.0.0.0/0"}, "PROXY_ADDRESSES"),
        ({**PROXY, "PROXY_USER_HEADER": "Authorization"}, "PROXY_USER_HEADER"),
        ({**PROXY, "PROXY_USER_HEADER": "a b"}, "PROXY_USER_HEADER"),
        ({**PROXY, "IMPERSONATE_USERS": ""}, "IMPERSONATE_USERS"),
        ({**PROXY, "IMPERSONATE_USERS": "alice,system:admin"}, "IMPERSONATE_USERS"),
        ({**PROXY, "IMPERSONATE_GROUPS": "system:masters"}, "IMPERSONATE_GROUPS"),
        ({**PROXY, "IMPERSONATE_GROUPS": "*"}, "IMPERSONATE_GROUPS"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(variables: dict[str, str], name: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^{name}"):
        read_identity(Variables.model_validate(variables))


def test_every_setting_is_in_the_guide() -> None:
    guide = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    named = {name for line in guide.splitlines() if line.startswith("| `") for name in re.findall(r"`([A-Z_]+)`", line)}
    assert set(Variables.model_fields) - named == set()
