"""Whose name stands in a session: a person's own, whatever they write, as the API server alone decides."""

import json
from typing import Any

import pytest

from tests.support.builders import session_body
from tests.support.kube import GROUP_PATH, Json, Space
from tests.support.settled import wait_for_rights
from tests.trust.roles import APPLY_PATCH, SYSTEM, Answer, Client, a_user, an_account

ROLES = ("agentic-edit", "agentic-view")


def path(space: Space, name: str = "s", part: str = "") -> str:
    return "/".join(each for each in (f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions", name, part) if each)


def people(space: Space) -> tuple[Client, Client]:
    return a_user(space.plane, space.name, *ROLES, name="ann"), a_user(space.plane, space.name, *ROLES, name="bob")


def respond(client: Client, space: Space, *responses: Json) -> Answer:
    """Write the whole list, as a merge patch does."""
    return client.request("PATCH", path(space), {"spec": {"responses": list(responses)}})


def apply(client: Client, space: Space, response: Json, manager: str) -> Answer:
    """Write one answer, as the command line does."""
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": "s"},
        "spec": {"responses": [response]},
    }
    return client.request("PATCH", f"{path(space)}?fieldManager={manager}&force=true", body, kind=APPLY_PATCH)


def response(by: str | None = None, value: Any = "yes", id_: str = "q") -> Json:
    return {"interruptId": id_, "value": value, **({} if by is None else {"by": by})}


def answers(space: Space) -> set[tuple[str, str, str]]:
    found = space.session("s")["spec"].get("responses", ())
    return {(each["interruptId"], each["by"], json.dumps(each.get("value"))) for each in found}


def assert_refused(answer: Answer, *words: str) -> None:
    assert answer.code in (403, 422), answer
    for word in words:
        assert word in answer.message


def test_an_answer_bears_its_writers_name_or_none(space: Space) -> None:
    ann, bob = people(space)
    space.start("s")
    assert_refused(respond(ann, space, response("bob")), "by 'bob' is theirs alone", "knows you as 'ann'")
    assert_refused(apply(ann, space, response("bob"), "ann"), "by 'bob' is theirs alone")
    assert_refused(respond(ann, space, response("ann"), response("bob")), "'bob'")
    assert_refused(respond(ann, space, response("inputDeadline")), "inputDeadline")
    assert respond(ann, space, response("ann"), response(None, id_="r")).is_done
    assert answers(space) == {("q", "ann", '"yes"'), ("r", "", '"yes"')}
    assert apply(bob, space, response("bob", "no"), "bob").is_done
    assert answers(space) == {("q", "ann", '"yes"'), ("r", "", '"yes"'), ("q", "bob", '"no"')}


def test_nobody_changes_or_takes_back_the_answer_of_somebody_else(space: Space) -> None:
    ann, bob = people(space)
    space.start("s")
    assert respond(ann, space, response("ann", {"ok": False})).is_done
    assert_refused(respond(bob, space), "by 'ann' is theirs alone")
    assert_refused(respond(bob, space, response("ann", {"ok": True})), "by 'ann'")
    assert_refused(respond(bob, space, response("bob", {"ok": False})), "by 'ann'")
    # Nor under its author's field manager, nor by handing in the whole object.
    assert_refused(apply(bob, space, response("ann", {"ok": True}), "ann"), "by 'ann'")
    whole = space.session("s")
    whole["spec"]["responses"] = []
    assert_refused(bob.request("PUT", path(space), whole), "by 'ann'")
    # What has nothing to do with it is as free as before.
    assert bob.request("PATCH", path(space), {"spec": {"displayName": "seen"}}).is_done
    assert respond(bob, space, response("ann", {"ok": False}), response("bob", {"ok": True})).is_done
    assert respond(ann, space, response("ann", {"ok": True}), response("bob", {"ok": True})).is_done
    assert respond(ann, space, response("bob", {"ok": True})).is_done
    assert answers(space) == {("q", "bob", '{"ok": true}')}


def test_the_operator_removes_answers_and_gives_or_changes_none(space: Space) -> None:
    ann, bob = people(space)
    space.start("s")
    assert respond(ann, space, response("ann"), response(None, id_="r")).is_done
    assert respond(bob, space, response("ann"), response(None, id_="r"), response("bob", "no")).is_done
    operator = an_account(space.plane, SYSTEM, "agentic-operator")
    # It may not answer at all either: policies are gone through in no order, and the first refusal is told.
    for changed, by in (
        ([response("ann", "no"), response("bob", "no")], "ann"),
        ([response("ann"), response("bob", "no"), response("cas")], "cas"),
    ):
        refused = respond(operator, space, *changed)
        assert_refused(refused)
        assert any(words in refused.message for words in (f"by '{by}' is theirs alone", "may not answer questions"))
    assert respond(operator, space, response("bob", "no")).is_done
    assert answers(space) == {("q", "bob", '"no"')}


def test_an_answer_is_changed_also_where_its_numbers_are_equal_as_doubles(space: Space) -> None:
    """CEL takes an integer for equal to the double next to it; nobody but its author changes one into the other."""
    ann, bob = people(space)
    space.start("s")
    assert respond(ann, space, response("ann", {"amount": [2**53 + 1]})).is_done
    assert_refused(respond(bob, space, response("ann", {"amount": [2.0**53]})), "by 'ann'")
    assert_refused(respond(bob, space, response("ann", {"amount": [2**53]})), "by 'ann'")
    assert respond(ann, space, response("ann", {"amount": [2.0**53]})).is_done


def test_an_answer_that_states_nobody_is_anybodys(space: Space) -> None:
    ann, bob = people(space)
    space.start("s")
    assert respond(ann, space, response()).is_done
    assert respond(bob, space, response("", "no")).is_done
    assert respond(bob, space).is_done
    assert answers(space) == set()


def test_a_session_is_asked_for_in_ones_own_name_once_and_for_all(space: Space) -> None:
    ann, bob = people(space)
    at = path(space, "")

    def create(client: Client, name: str, **spec: Any) -> Answer:
        return client.request("POST", at, session_body(name, namespace=space.name, **spec))

    assert_refused(create(ann, "x", createdBy="bob"), "spec.createdBy: 'bob'", "knows you as 'ann'")
    assert_refused(create(ann, "x", responses=[response("bob")]), "by 'bob'")
    assert create(ann, "s", createdBy="ann").is_done
    assert create(ann, "unsaid").is_done
    for name in ("s", "unsaid"):
        for said in ("bob", "ann", None):
            if (name, said) not in (("s", "ann"), ("unsaid", None)):
                changed = bob.request("PATCH", path(space, name), {"spec": {"createdBy": said}})
                assert_refused(changed, "createdBy cannot change")


def test_who_holds_the_right_acts_on_behalf_of_others_and_no_shipped_role_has_it(space: Space) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    role = {
        "metadata": {"name": "delegate"},
        "rules": [{"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions"], "verbs": ["on-behalf"]}],
    }
    body = session_body("s", namespace=space.name, createdBy="ann")
    portal = a_user(space.plane, space.name, *ROLES, name="portal")
    assert_refused(portal.request("POST", path(space, ""), body))
    space.plane.request("POST", f"{rbac}/namespaces/{space.name}/roles", role)
    binding = {
        "metadata": {"name": "delegate"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "delegate"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "portal"}],
    }
    space.plane.request("POST", f"{rbac}/namespaces/{space.name}/rolebindings", binding)
    wait_for_rights(space.plane, space.name, "portal")
    assert portal.request("POST", path(space, ""), body).is_done
    assert respond(portal, space, response("ann"), response("bob", "no")).is_done
    for found in space.plane.request("GET", f"{rbac}/clusterroles")["items"]:
        if found["metadata"]["name"].startswith("agentic-"):
            assert not any("on-behalf" in rule["verbs"] or "*" in rule["verbs"] for rule in found["rules"])


@pytest.mark.parametrize("by", ["", "ann", "bob"])
def test_a_full_list_of_answers_fits_into_the_budget_of_the_policy(space: Space, by: str) -> None:
    """256 answers with ids of 128 characters, written at once, changed one by one and at once, and taken back."""
    ann, bob = people(space)
    space.start("s")
    full = [response("ann", {"text": "x" * 400, "n": n}, f"{n:03}{'i' * 125}") for n in range(256)]
    if by == "bob":
        assert_refused(respond(bob, space, *full), "by 'ann'")
        return
    full = [{**each, "by": by} for each in full]
    assert respond(ann, space, *full).is_done
    other = [{**each, "value": n} for n, each in enumerate(full)]
    assert respond(ann, space, *full[:-1], other[-1]).is_done
    assert respond(ann, space, *other).is_done
    assert ann.request("PATCH", path(space), {"spec": {"displayName": "still"}}).is_done
    assert respond(ann, space).is_done
