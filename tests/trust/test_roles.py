"""What the shipped roles let somebody do at all, before any policy has its say."""

from tests.support.builders import session_body
from tests.support.kube import GROUP_PATH, Space
from tests.trust.roles import SYSTEM, a_user, an_account
from tests.trust.test_runner_status import a_runner


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


def test_within_its_namespace_a_runner_reads_every_session_that_it_can_name_and_writes_its_own_status_alone(
    space: Space,
) -> None:
    """What holds today: the namespace is the boundary of reading, and ``private`` is none."""
    space.start("other", userContext={"userId": "ann", "private": True})
    runner = a_runner(space)

    read = runner.request("GET", sessions(space.name, "other"))

    assert read.is_done
    assert read.body["spec"]["userContext"] == {"userId": "ann", "private": True}
    assert runner.request("GET", sessions(space.name)).code == 403
    assert runner.request("GET", sessions("default", "other")).code == 403
    written = runner.request("PATCH", sessions(space.name, "other", "status"), {"status": {"currentNode": "load"}})
    assert written.code == 403
    assert runner.request("PATCH", sessions(space.name, "other"), {"spec": {"stop": True}}).code == 403
    assert runner.request("PATCH", sessions(space.name, "s", "status"), {"status": {"currentNode": "load"}}).is_done


def test_who_starts_a_session_names_any_user_as_the_one_whom_it_runs_for(space: Space) -> None:
    """What holds today: ``userContext`` is a statement of whoever starts the session, and is checked by nobody."""
    starter = a_user(space.plane, space.name, "agentic-start")
    body = session_body("s", namespace=space.name, userContext={"userId": "somebody-else", "private": True})
    made = starter.request("POST", sessions(space.name), body)
    assert made.is_done, made.message
