"""Who starts a session chooses its name, and no volume of somebody else by it."""

from tests.support.builders import session_body
from tests.support.kube import GROUP_PATH, Json, Space
from tests.trust.roles import a_user


def test_a_session_mounts_no_claim_of_somebody_else_by_its_name(space: Space) -> None:
    claims = f"/api/v1/namespaces/{space.name}/persistentvolumeclaims"
    spec: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    space.plane.request("POST", claims, {"metadata": {"name": "ledger-workspace"}, "spec": spec})
    restored = {"app.kubernetes.io/managed-by": "agentic-operator", "agentic-operator.dev/session": "back"}
    space.plane.request("POST", claims, {"metadata": {"name": "back-workspace", "labels": restored}, "spec": spec})
    space.define(workspace={"size": "1Gi"})
    space.operator()
    person = a_user(space.plane, space.name, "agentic-start", "agentic-view")
    for name in ("ledger", "back"):
        path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions"
        assert person.request("POST", path, session_body(name, namespace=space.name)).is_done
    assert "'ledger-workspace'" in space.wait_status("ledger", "Pending", "NameTaken")["message"]
    space.wait_status("back", "Creating")
    assert space.session_jobs() == ["back-r1"]
