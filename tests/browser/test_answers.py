"""Answers: to what was shown, once, never without a word of what became of them; also over a broken connection."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from agentic_core.digests import digest_question
from agentic_store.database import Database
from tests.browser.samples import GRAPH, SCHEMA
from tests.browser.stories import Backstage, Story, begin_story
from tests.support.browser import Visitor
from tests.support.kube import Space
from tests.support.link import Link
from tests.support.streams import record_running
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Json = dict[str, Any]
Somebody = Callable[..., Client]

QUESTION: Json = {
    "id": "q1",
    "node": "review",
    "prompt": "Publish the report?",
    "value": {"prompt": "Publish the report?", "amount": 1234567890123456789, "rate": 0.1, "by": {"é": [1e3, None]}},
    "options": [{"value": {"approved": True}, "label": "Approve"}, {"value": {"approved": False}, "label": "Reject"}],
    "schema": {
        "type": "object",
        "required": ["approved"],
        "properties": {"approved": {"type": "boolean"}, "limit": {"type": "number", "maximum": 2.5}},
    },
    "askedAt": "2026-03-01T12:00:05Z",
}
RESPONSES = "**/api/v1/agentic-sessions/*/*/responses"


def digest(question: Json) -> str:
    return digest_question(question["prompt"], question["value"], question["options"], question["schema"])


@pytest.fixture
def story(space: Space, backstage: Backstage, store: Database) -> Story:
    """A session that asks."""
    space.define(inputSchema=SCHEMA, status={"graph": GRAPH})
    story = begin_story(space, backstage, store, inputs={"file_path": "rivers.csv"})
    story.ask(QUESTION)
    return story


def open_question(visitor: Visitor, client: Client, story: Story) -> Locator:
    """Open the session's page, and return its question."""
    visitor.sign_in(client.token, f"/sessions/{story.space.name}/s1")
    question = visitor.page.locator("[data-question=q1]")
    expect(question.get_by_role("button", name="Approve")).to_be_enabled()
    return question


def approve(question: Locator) -> None:
    question.get_by_role("button", name="Approve").click()


def list_responses(story: Story) -> list[Json]:
    found: list[Json] = story.space.session("s1")["spec"].get("responses") or []
    return found


def wait_responses(story: Story, count: int = 1) -> list[Json]:
    return wait_for(lambda: list_responses(story), lambda found: len(found) == count, what=f"{count} answers")


def take(story: Story) -> None:
    """Take the answer that is there, as the operator does."""
    (given,) = wait_responses(story)
    at = "2026-03-01T12:10:00Z"
    answer = {"interruptId": "q1", "by": given["by"], "value": given["value"], "at": at}
    story.report(answers=[answer], interrupts=[{**QUESTION, "answeredAt": at, "answeredBy": given["by"]}])


def judge(story: Story, reason: str, message: str) -> None:
    """Refuse the answers that are there, as the operator does."""
    condition = {
        "type": "InputAccepted",
        "status": "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-03-01T12:10:00Z",
        "observedGeneration": story.space.session("s1")["metadata"]["generation"],
    }
    story.report(conditions=[condition])


# -- what became of it


@pytest.mark.parametrize("place", ["the session's page", "the inbox"])
def test_an_answer_names_the_question_that_was_shown(place: str, visitor: Visitor, alice: Client, story: Story) -> None:
    if place == "the inbox":
        visitor.sign_in(alice.token, f"/inbox?namespace={story.space.name}")
        visitor.page.get_by_role("link", name="Publish the report?").click()
        visitor.page.get_by_role("button", name="Approve").click()
    else:
        approve(open_question(visitor, alice, story))
    (given,) = wait_responses(story)
    assert given["digest"] == digest(QUESTION)
    status = visitor.page.get_by_role("status")
    expect(status.filter(has_text="The operator checks it now")).to_be_visible()
    take(story)
    if place == "the inbox":
        expect(status.filter(has_text="Accepted")).to_be_visible()
    else:
        expect(visitor.page.locator("[data-question]")).to_have_count(0)


def test_an_answer_that_the_operator_refuses_says_why_and_another_one_is_taken(
    visitor: Visitor, alice: Client, story: Story
) -> None:
    question = open_question(visitor, alice, story)
    approve(question)
    wait_responses(story)
    judge(story, "QuestionChanged", "the answer is to another question")
    expect(question.get_by_role("alert").first).to_contain_text("The question has changed since it was shown")
    visitor.check_accessibility()
    question.get_by_role("button", name="Reject").click()
    wait_for(
        lambda: list_responses(story)[0]["value"], lambda value: value == {"approved": False}, what="the other one"
    )
    take(story)
    expect(question).to_have_count(0)


def test_of_two_people_the_slower_one_is_told_so_for_as_long_as_they_look(
    open_window: Callable[..., Visitor], alice: Client, somebody: Somebody, story: Story
) -> None:
    one, other = open_window(), open_window()
    mine = open_question(one, alice, story)
    theirs = open_question(other, somebody("bob", "agentic-view", "agentic-edit"), story)
    approve(mine)
    wait_responses(story)
    theirs.get_by_role("button", name="Reject").click()
    told = theirs.get_by_role("alert").first
    expect(told).to_contain_text("Somebody was faster")
    expect(told).to_contain_text(":alice")
    take(story)
    expect(mine).to_have_count(0)
    # The question is over, and what became of this answer stays.
    expect(theirs.get_by_role("button")).to_have_count(0)
    expect(told).to_contain_text("Somebody was faster")
    (given,) = list_responses(story)
    assert given["value"] == {"approved": True}


def test_an_answer_that_comes_too_late_is_told_so(visitor: Visitor, alice: Client, story: Story) -> None:
    question = open_question(visitor, alice, story)
    held: list[Route] = []
    visitor.page.route(RESPONSES, lambda route: held.append(route))
    approve(question)
    wait_for(lambda: visitor.page.evaluate("() => 0") or held, bool, what="the answer on its way")
    story.add(("stopped", {}))
    story.report(phase="Stopped", message="stopped by bob")
    expect(visitor.page.locator("[data-phase=Stopped]").first).to_be_visible()
    held[0].continue_()
    expect(question.get_by_role("alert")).to_contain_text("The session has ended; no answer is taken any more")
    expect(question.get_by_role("button")).to_have_count(0)


def test_an_answer_that_does_not_fit_says_where(visitor: Visitor, alice: Client, story: Story) -> None:
    question = open_question(visitor, alice, story)

    def change(route: Route) -> None:
        sent: Json = json.loads(route.request.post_data or "")
        route.continue_(post_data={**sent, "value": {"approved": True, "limit": 3}})

    # What the page lets through is judged again.
    visitor.page.route(RESPONSES, change)
    approve(question)
    expect(question.get_by_role("alert")).to_contain_text("The answer was not taken")
    expect(question.get_by_role("alert")).to_contain_text("the question does not take this answer")
    assert list_responses(story) == []
    visitor.page.unroute(RESPONSES)
    approve(question)
    wait_responses(story)


def test_who_asked_for_a_session_does_not_approve_it(
    open_window: Callable[..., Visitor], alice: Client, somebody: Somebody, story: Story, space: Space
) -> None:
    space.delete("s1")
    space.wait_gone("s1")
    creator = f"system:serviceaccount:{space.name}:alice"
    mine = begin_story(space, story.backstage, story.store, createdBy=creator)
    rule = {"interruptId": "q1", "rule": {"notCreator": True, "identity": "Required"}, "digest": digest(QUESTION)}
    mine.ask(QUESTION, approvals=[rule])
    one, other = open_window(), open_window()
    question = open_question(one, alice, mine)
    expect(question).to_contain_text(f"not {creator} (who started it)")
    approve(question)
    told = question.get_by_role("alert").first
    expect(told).to_contain_text("answered by somebody else than whoever started the session")
    one.check_accessibility()
    assert list_responses(mine) == []
    approve(open_question(other, somebody("bob", "agentic-view", "agentic-edit"), mine))
    (given,) = wait_responses(mine)
    assert given["by"].endswith(":bob")
    take(mine)
    expect(other.page.locator("[data-question]")).to_have_count(0)


# -- the connection breaks at each step


def lose(route: Route, *, is_served: bool) -> None:
    """Break a request: before it comes, or once it was served and before its answer comes."""
    if is_served:
        route.fetch()
    route.abort("connectionreset")


@pytest.mark.parametrize("is_served", [False, True], ids=["before it comes", "before its answer comes"])
def test_nothing_is_lost_or_doubled_where_the_connection_breaks_at_each_step(
    is_served: bool,
    open_window: Callable[..., Visitor],
    alice: Client,
    space: Space,
    backstage: Backstage,
    store: Database,
    link: Link,
) -> None:
    space.define(inputSchema=SCHEMA, status={"graph": GRAPH})
    visitor = open_window(link.url)
    page = visitor.page
    lost: list[str] = []

    def lose_once(pattern: str) -> None:
        """Break the first request to an address, and its whole connection with it."""

        def break_it(route: Route) -> None:
            lost.append(route.request.headers.get("idempotency-key", ""))
            lose(route, is_served=is_served)
            backstage.do(link.cut)

        page.route(pattern, break_it, times=1)

    # The start.
    visitor.sign_in(alice.token, f"/new/{space.name}/report")
    page.get_by_label("File").fill("rivers.csv")
    lose_once(f"**/api/v1/agentic-sessions/{space.name}")
    page.get_by_role("button", name="Start the session").click()
    expect(page).to_have_url(re.compile(rf"/sessions/{space.name}/[^/]+$"))
    (made,) = space.sessions()
    story = adopt(space, backstage, store, made)
    wait_live(page)

    # A question, asked while nothing can come.
    backstage.do(link.shut)
    expect(page.locator("[data-connection=disconnected]")).to_be_visible()
    story.say("The level is high.")
    story.ask(QUESTION)
    backstage.run(link.open())
    question = page.locator("[data-question=q1]")
    expect(question).to_have_count(1)
    expect(page.locator("[data-item=asked]")).to_have_count(1)
    expect(page.locator("[data-item=said]")).to_have_count(1)

    # The answer.
    lose_once(RESPONSES)
    approve(question)
    expect(question.get_by_role("status").filter(has_text="The operator checks it now")).to_be_visible()
    responses = space.session(story.name)["spec"]["responses"]
    assert [each["value"] for each in responses] == [{"approved": True}]
    assert len(lost) == 2
    assert all(lost)
    at = "2026-03-01T12:10:00Z"
    answer = {"interruptId": "q1", "by": responses[0]["by"], "value": responses[0]["value"], "at": at}
    story.report(phase="Running", answers=[answer], interrupts=[{**QUESTION, "answeredAt": at}])
    expect(question).to_have_count(0)
    wait_live(page)

    # The result.
    backstage.do(link.shut)
    expect(page.locator("[data-connection=disconnected]")).to_be_visible()
    story.say("It is published.")
    story.complete(result={"outliers": 3})
    backstage.run(link.open())
    expect(page.locator("[data-connection=closed]")).to_have_text("Complete")
    expect(page.locator("[data-item=said]")).to_have_text(
        [re.compile("The level is high."), re.compile("It is published.")]
    )
    assert page.locator("[data-item=gap]").count() == 0
    page.get_by_role("tab", name="Result").click()
    expect(page.locator("[data-result]")).to_contain_text("outliers")
    assert len(space.sessions()) == 1
    visitor.forgive_losses()


def wait_live(page: Page) -> None:
    expect(page.locator("[data-connection=connected]")).to_be_visible()


def adopt(space: Space, backstage: Backstage, store: Database, made: Json) -> Story:
    """Run a session that somebody started."""
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    space.report(name, phase="Creating", run=1)
    space.report(name, phase="Running")
    backstage.run(record_running(store, space, uid, name, workflow="report"))
    return Story(space, name, uid, backstage, store)
