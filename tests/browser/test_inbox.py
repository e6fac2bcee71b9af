"""The inbox: what waits for an answer, the most urgent first, answered from the keyboard."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.samples import ask, define_all, question
from tests.support.browser import Visitor
from tests.support.builders import wire_time
from tests.support.kube import Space
from tests.trust.roles import Client

Somebody = Callable[..., Client]
OPTIONS = [{"value": "approve", "label": "Approve"}, {"value": "reject", "label": "Reject"}]


@pytest.fixture
def alice(space: Space, somebody: Somebody) -> Client:
    """Somebody who may look into every namespace, and answer in this one."""
    made = somebody("alice", "agentic-view", "agentic-edit")
    body = {
        "metadata": {"name": f"{space.name}-alice"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agentic-view"},
        "subjects": [{"kind": "ServiceAccount", "name": "alice", "namespace": space.name}],
    }
    space.plane.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)
    return made


def test_questions_come_by_deadline_and_are_answered_from_the_keyboard(
    visitor: Visitor, space: Space, alice: Client
) -> None:
    define_all(space)
    ask(space, "later", question("q1", "Publish the report on the lakes?", options=OPTIONS), displayName="Lakes")
    soon = {"seconds": 1800, "onExpiry": "Fail"}
    ask(
        space,
        "urgent",
        question("q2", "Approve the payment of €4,200 to Rivers Ltd?", options=OPTIONS),
        displayName="Invoice 4711",
        inputDeadline=soon,
    )
    visitor.sign_in(alice.token, "/inbox")
    page = visitor.page
    items = page.get_by_role("region", name="Open questions").get_by_role("listitem")
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("Approve the payment")
    expect(items.first).to_contain_text("due in")
    expect(page).to_have_title("(2) Inbox · Agentic")
    visitor.check_accessibility()

    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(r"question=.*urgent.*q2"))
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    visitor.check_accessibility()
    visitor.take_pictures("inbox")
    # It is still there after a reload.
    page.reload()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    page.keyboard.press("1")
    expect(
        page.get_by_role("status").filter(has_text=re.compile("sent|taken|accepted", re.IGNORECASE)).first
    ).to_be_visible()
    (answer,) = space.session("urgent")["spec"]["responses"]
    assert (answer["interruptId"], answer["value"], answer["by"]) == (
        "q2",
        "approve",
        f"system:serviceaccount:{space.name}:alice",
    )
    # As the operator takes it.
    at = wire_time(datetime.now(UTC) - timedelta(seconds=1))
    space.report("urgent", answers=[{"interruptId": "q2", "by": answer["by"], "value": "approve", "at": at}])
    expect(items).to_have_count(1)
    expect(page).to_have_title("(1) Inbox · Agentic")


def test_who_may_answer_nothing_has_an_empty_inbox_that_says_so(
    visitor: Visitor, space: Space, somebody: Somebody
) -> None:
    define_all(space)
    ask(space, "later", question("q1", "Publish it?"))
    visitor.sign_in(somebody("viewer", "agentic-view").token, "/inbox")
    expect(visitor.page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    expect(visitor.page).to_have_title("Inbox · Agentic")
    visitor.check_accessibility()
