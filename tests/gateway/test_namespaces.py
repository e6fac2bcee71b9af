"""What a page asks before it offers anything: where its person may look, what they may do, and how they sign in."""

from collections.abc import AsyncIterator, Callable

import pytest

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.streams import start_followed
from tests.trust.roles import Client

Somebody = Callable[..., Client]
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


def bind_to_all(space: Space, person: str, role: str) -> None:
    """Give an account of the test's namespace a ClusterRole in all namespaces."""
    body = {
        "metadata": {"name": f"{space.name}-{person}-{role}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": person, "namespace": space.name}],
    }
    space.plane.request("POST", f"{RBAC}/clusterrolebindings", body)


def test_who_may_list_namespaces_sees_those_whose_sessions_they_may_list(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    name = f"{space.name}-namespaces"
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}]
    space.plane.request("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    bind_to_all(space, "alice", name)
    alice = somebody("alice", "agentic-view")
    found = gateway.call("GET", "/api/v1/namespaces", token=alice.token)
    assert (found.code, found.body) == (200, {"items": [space.name], "mayListAll": False, "isWhole": True})


def test_who_may_list_all_sessions_sees_every_namespace(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    bind_to_all(space, "root", "cluster-admin")
    root = somebody("root")
    found = gateway.call("GET", "/api/v1/namespaces", token=root.token).body
    assert (found["mayListAll"], found["isWhole"]) == (True, True)
    assert {space.name, "default", "kube-system"} <= set(found["items"])
    assert found["items"] == sorted(found["items"])


async def test_others_see_their_own_namespace_and_where_people_are_waited_for(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, events: PostgresDatabase
) -> None:
    space.define()
    uid = await start_followed(space, store, "s1")
    events.execute("UPDATE workflow_sessions SET status = 'waiting_for_input' WHERE session_uid = %s", [uid])
    alice, stranger = somebody("alice", "agentic-view"), somebody("stranger")
    found = gateway.call("GET", "/api/v1/namespaces", token=alice.token).body
    assert found == {"items": [space.name], "mayListAll": False, "isWhole": False}
    # A session waits in the namespace, and this one may not know.
    assert gateway.call("GET", "/api/v1/namespaces", token=stranger.token).body["items"] == []


@pytest.mark.parametrize(
    ("roles", "sessions", "workflows", "logs", "audit"),
    [
        ((), [], [], False, False),
        (("agentic-view",), ["list", "get"], ["list", "get"], False, False),
        (("agentic-view", "system:aggregate-to-view", "agentic-audit"), ["list", "get"], ["list", "get"], True, True),
        (
            ("agentic-view", "agentic-edit"),
            ["list", "get", "create", "patch", "delete", "respond"],
            ["list", "get", "create", "patch", "delete"],
            False,
            False,
        ),
    ],
)
def test_rights_are_those_of_the_api_server(
    gateway: Gateway,
    space: Space,
    somebody: Somebody,
    roles: tuple[str, ...],
    sessions: list[str],
    workflows: list[str],
    logs: bool,
    audit: bool,
) -> None:
    alice = somebody("alice", *roles)
    found = gateway.call("GET", f"/api/v1/namespaces/{space.name}/rights", token=alice.token)
    expected = {"sessions": sessions, "workflows": workflows, "logs": logs, "audit": audit}
    assert (found.code, found.body) == (200, expected)
    elsewhere = gateway.call("GET", "/api/v1/namespaces/default/rights", token=alice.token).body
    assert elsewhere == {"sessions": [], "workflows": [], "logs": False, "audit": False}


def test_nobody_is_told_nothing_but_how_to_sign_in(gateway: Gateway, space: Space) -> None:
    for path in ("/api/v1/namespaces", f"/api/v1/namespaces/{space.name}/rights"):
        assert gateway.call("GET", path).code == 401
        assert gateway.call("GET", path, token="bad").code == 401
    ways = gateway.call("GET", "/auth/ways")
    assert (ways.code, ways.body) == (200, {"login": False, "proxy": False})
