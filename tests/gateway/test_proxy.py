"""A proxy in front that names people: believed from that proxy alone, for the people that are listed alone."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hack.cluster.certificates import Authority, KeyPair
from hack.cluster.controlplane import ControlPlane
from tests.support.gateway import Gateway, Reply, running_gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import wait_for
from tests.trust.roles import Client, a_user

PUBLIC = "https://agents.example"
PAGE = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin", "X-Agentic-Request": "1"}


@dataclass(frozen=True)
class Front:
    """A gateway that believes a proxy with a secret, from loopback."""

    gateway: Gateway

    def call(self, method: str, path: str, body: object = None, *, user: str = "ann", **headers: str) -> Reply:
        """Send what the proxy would; header names with ``_``, empty ones are left out."""
        found = {"X-Forwarded-User": user, "X-Forwarded-Groups": "reviewers,system:masters,admins"}
        found["X-Agentic-Proxy-Secret"] = "between-us"
        found |= PAGE | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.gateway.call(method, path, body, headers={name: value for name, value in found.items() if value})


def grant_impersonation(plane: ControlPlane, account: str, namespace: str) -> None:
    """Let an account stand for ann and the group reviewers, by their exact names, as the guide says."""
    rules = [
        {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["ann"]},
        {"apiGroups": [""], "resources": ["groups"], "verbs": ["impersonate"], "resourceNames": ["reviewers"]},
    ]
    api = "/apis/rbac.authorization.k8s.io/v1"
    plane.request("POST", f"{api}/clusterroles", {"metadata": {"name": f"stand-for-{namespace}"}, "rules": rules})
    binding = {
        "metadata": {"name": f"stand-for-{namespace}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"stand-for-{namespace}",
        },
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    plane.request("POST", f"{api}/clusterrolebindings", binding)


@pytest.fixture
def front(space: Space, events: PostgresDatabase, somebody: Callable[..., Client], tmp_path: Path) -> Iterator[Front]:
    own = somebody("gateway")
    grant_impersonation(space.plane, "gateway", space.name)
    (tmp_path / "proxy-token").write_text(own.token)
    (tmp_path / "secret").write_text("between-us\n")
    with running_gateway(
        space.plane,
        events,
        tmp_path,
        PUBLIC_URL=PUBLIC,
        PROXY_USER_HEADER="X-Forwarded-User",
        PROXY_GROUPS_HEADER="X-Forwarded-Groups",
        PROXY_ADDRESSES="127.0.0.1",
        PROXY_SECRET_FILE=str(tmp_path / "secret"),
        # bob is on the gateway's list and not in its role: the API server has the last word.
        IMPERSONATE_USERS="ann,bob",
        IMPERSONATE_GROUPS="reviewers",
        KUBERNETES_TOKEN_FILE=str(tmp_path / "proxy-token"),
    ) as gateway:
        yield Front(gateway)


def test_the_proxy_names_a_person_and_nobody_else_does(front: Front, space: Space, gateway: Gateway) -> None:
    a_user(space.plane, space.name, "agentic-view", "agentic-edit", name="ann")
    space.define()
    assert front.gateway.call("GET", "/auth/ways").body == {"login": False, "proxy": True}
    assert front.call("GET", "/api/v1/myself").body == {
        "username": "ann",
        # Neither the system's groups nor those that are not listed.
        "groups": ["reviewers", "system:authenticated"],
        "via": "proxy",
    }
    body = {"metadata": {"name": "s1"}, "spec": {"workflowRef": {"name": "report"}, "inputs": {"topic": "x"}}}
    created = front.call("POST", f"/api/v1/agentic-sessions/{space.name}", body)
    assert created.code == 201, created.body
    assert space.session("s1")["spec"]["createdBy"] == "ann"
    # A ticket of a person who came by the proxy carries no token, and works.
    made = front.call("POST", f"/api/v1/agentic-sessions/{space.name}/s1/tickets", {"channel": "result"})
    path = f"/api/v1/agentic-sessions/{space.name}/s1/result?ticket={made.body['ticket']}"
    assert front.gateway.call("GET", path).code == 409

    for code, changes in (
        (401, {"X_Agentic_Proxy_Secret": ""}),
        (401, {"X_Agentic_Proxy_Secret": "guessed"}),
        (403, {"user": "eve"}),
        (403, {"user": "system:admin"}),
        (403, {"user": "system:serviceaccount:kube-system:default"}),
        # The API server refuses whom the role does not list.
        (403, {"user": "bob"}),
        # A proxy's log-in is a cookie: other sites' pages have it, too.
        (403, {"Origin": "https://evil.example"}),
    ):
        reply = front.call("PATCH", f"/api/v1/agentic-sessions/{space.name}/s1", {"spec": {"stop": True}}, **changes)
        assert reply.code == code, (changes, reply.body)
    forged = {"metadata": {"name": "s2"}, "spec": {**body["spec"], "createdBy": "boss"}}  # type: ignore[dict-item]  # plain
    refused = front.call("POST", f"/api/v1/agentic-sessions/{space.name}", forged)
    assert refused.code in (403, 422), refused.body
    # The headers mean nothing to a gateway that has no such proxy.
    found = gateway.call("GET", "/api/v1/myself", headers={"X-Forwarded-User": "ann"})
    assert found.code == 401
    assert "between-us" not in front.gateway.log


def test_a_proxy_is_known_by_its_certificate_alone_and_by_that_of_the_newest_authority(
    space: Space, events: PostgresDatabase, somebody: Callable[..., Client], tmp_path: Path
) -> None:
    own = somebody("gateway")
    grant_impersonation(space.plane, "gateway", space.name)
    a_user(space.plane, space.name, "agentic-view", name="ann")
    (tmp_path / "proxy-token").write_text(own.token)
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    ours.create()
    theirs.create()
    pair = ours.issue("gateway", "gateway", names=["127.0.0.1"])
    old, new = ours.issue("proxy", "proxy"), theirs.issue("proxy", "proxy")
    trusted = tmp_path / "clients.crt"
    trusted.write_bytes(ours.pair.certificate.read_bytes())
    with running_gateway(
        space.plane,
        events,
        tmp_path,
        PUBLIC_URL=PUBLIC,
        PROXY_USER_HEADER="X-Forwarded-User",
        IMPERSONATE_USERS="ann",
        KUBERNETES_TOKEN_FILE=str(tmp_path / "proxy-token"),
        TLS_CERT_FILE=str(pair.certificate),
        TLS_KEY_FILE=str(pair.key),
        TLS_CLIENT_CA_FILE=str(trusted),
        TLS_RELOAD_SECONDS="0.2",
    ) as gateway:

        def ask(client: KeyPair | None) -> str:
            """Return whom the gateway takes a client for, or that it lets none connect."""
            context = ssl.create_default_context(cafile=str(ours.pair.certificate))
            if client is not None:
                context.load_cert_chain(client.certificate, client.key)
            try:
                with httpx.Client(verify=context, trust_env=False, timeout=30) as connection:
                    headers = {"X-Forwarded-User": "ann", **PAGE}
                    return str(connection.get(f"{gateway.address}/api/v1/myself", headers=headers).json()["username"])
            except httpx.TransportError:
                return "nobody"

        assert [ask(old), ask(new), ask(None)] == ["ann", "nobody", "nobody"]
        trusted.write_bytes(theirs.pair.certificate.read_bytes())
        wait_for(lambda: ask(new), lambda found: found == "ann", what="the new authority believed")
        assert [ask(old), ask(None)] == ["nobody", "nobody"]


def test_an_address_that_a_header_names_is_nobodys_address(
    space: Space, events: PostgresDatabase, tmp_path: Path
) -> None:
    (tmp_path / "proxy-token").write_text("none")
    with running_gateway(
        space.plane,
        events,
        tmp_path,
        PUBLIC_URL=PUBLIC,
        PROXY_USER_HEADER="X-Forwarded-User",
        PROXY_ADDRESSES="10.11.12.13",
        IMPERSONATE_USERS="ann",
        KUBERNETES_TOKEN_FILE=str(tmp_path / "proxy-token"),
    ) as gateway:
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
            headers = {"X-Forwarded-User": "ann", name: "10.11.12.13"}
            assert gateway.call("GET", "/api/v1/myself", headers=headers).code == 401
