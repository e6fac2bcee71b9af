"""What the shipped roles let somebody do at all, before any policy has its say."""

from tests.support.builders import session_body
from tests.support.kube import GROUP_PATH, Space
from tests.trust.roles import SYSTEM, a_user, an_account


def sessions(namespace: str, name: str = "", part: str = "") -> str:
    return "/".join(each for each in (f"{GROUP_PATH}/namespaces/{namespace}/agenticsessions", name, part) if each)


def test_people_have_what_their_role_says_in_their_namespace_alone(space: Space) -> None:
    editor = a_user(space.plane, space.name, "agentic-edit", "agentic-view")
    viewer = a_user(space.plane, space.name, "agentic-view")
    body = session_body("mine", namespace=space.name)
    assert viewer.request("POST", sessions(space.name), body).code == 403
    assert editor.request("POST", sessions(space.name), body).is_done
    assert viewer.request("GET", sessions(space.name, "mine")).is_done
    assert editor.request("PATCH", sessions(space.name, "mine"), {"spec": {"stop": True}}).is_done
    # A status is the operator's and the runner's to write.
    refused = editor.request("PATCH", sessions(space.name, "mine", "status"), {"status": {"phase": "Completed"}})
    assert (refused.code, "agenticsessions/status" in refused.message) == (403, True)
    assert editor.request("GET", sessions("default")).code == 403


def test_the_operators_account_may_write_statuses_and_read_no_secret_but_its_own(space: Space) -> None:
    space.start("mine")
    operator = an_account(space.plane, SYSTEM, "agentic-operator")
    status = {"status": {"phase": "Pending"}}
    assert operator.request("PATCH", sessions(space.name, "mine", "status"), status).is_done
    assert operator.request("GET", f"/api/v1/namespaces/{space.name}/secrets").code == 403
