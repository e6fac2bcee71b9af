"""A conversation: what is said is there at once and stays, can be said otherwise, and can be stopped."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from agentic_store.database import Database
from tests.browser.stories import Backstage, Story, begin_story
from tests.support.browser import Visitor
from tests.support.kube import Space
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Json = dict[str, Any]
AT = "2026-03-01T12:00:00Z"


@pytest.fixture
def talk(space: Space, backstage: Backstage, store: Database) -> Story:
    """A conversation that is Idle, of nobody yet."""
    space.define("chat")
    story = begin_story(space, backstage, store, "tea", workflow="chat", mode="Conversation", displayName="Tea")
    story.report(phase="Idle")
    return story


def words(text: str) -> Json:
    return {"messages": [{"role": "user", "content": text}]}


def list_turns(talk: Story) -> list[Json]:
    turns: list[Json] = talk.space.session("tea")["spec"].get("turns") or []
    return turns


def wait_turns(talk: Story, count: int) -> list[Json]:
    return wait_for(lambda: list_turns(talk), lambda turns: len(turns) == count, what=f"{count} turns")


def take_turn(talk: Story, turn: Json) -> None:
    """Put a turn on, as the operator does."""
    talk.turn += 1
    status = talk.space.status("tea")
    record = {"name": turn["name"], "number": talk.turn, "phase": "Running", "by": turn["by"], "startedAt": AT}
    talk.report(
        phase="Running",
        turn={"name": turn["name"], "number": talk.turn, "by": turn["by"]},
        turnCount=talk.turn,
        turns=[*(status.get("turns") or []), record],
    )
    talk.add(("run_started", {"action": "start"}))


def end_turn(talk: Story, phase: str = "Completed", **record: Any) -> None:
    """Take the turn off that is on, as the operator does."""
    talk.add(("completed", {"size": 2}))
    turns = talk.space.status("tea")["turns"]
    turns[-1] |= {"phase": phase, "finishedAt": AT, "checkpointId": f"c{talk.turn}", **record}
    talk.report(phase="Idle", turn=None, turns=turns)


def open_chat(visitor: Visitor, client: Client, talk: Story) -> Page:
    visitor.sign_in(client.token)
    visitor.open(f"/chat/{talk.space.name}/tea")
    expect(visitor.page.locator("[data-connection=connected]")).to_be_visible()
    return visitor.page


def composer(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message")


def say(page: Page, talk: Story, text: str) -> Json:
    """Say something, and return the turn that it became."""
    count = len(list_turns(talk))
    composer(page).fill(text)
    composer(page).press("Enter")
    return wait_turns(talk, count + 1)[-1]


def answer(talk: Story, text: str) -> None:
    """Have the model say something in the turn that is on, and the turn end."""
    talk.say(text)
    end_turn(talk)


def test_enter_sends_and_what_is_answered_streams_in(visitor: Visitor, alice: Client, talk: Story) -> None:
    page = open_chat(visitor, alice, talk)
    expect(page.get_by_text("Nothing was said yet")).to_be_visible()
    composer(page).press_sequentially("two")
    composer(page).press("Shift+Enter")
    composer(page).press_sequentially("lines")
    assert list_turns(talk) == []
    composer(page).press("Enter")
    (turn,) = wait_turns(talk, 1)
    assert turn["input"] == words("two\nlines")
    assert turn["by"].endswith(":alice")
    expect(composer(page)).to_have_value("")
    bubble = page.locator(f"[data-turn={turn['name']}]")
    expect(bubble).to_contain_text("You")

    take_turn(talk, turn)
    message = talk.begin_message()
    talk.speak(message, "Green ", "tea ")
    expect(page.locator("[data-item=said]")).to_contain_text("Green tea")
    talk.speak(message, "it is.")
    talk.end_message(message)
    talk.call_tool("remember", '{"fact": "green tea"}', "done")
    expect(page.locator("[data-tool=remember]")).to_be_visible()
    end_turn(talk)
    expect(page.locator("[data-phase=Idle]")).to_be_visible()
    expect(page.get_by_text("Green tea it is.")).to_be_visible()
    visitor.check_accessibility()
    visitor.take_pictures("chat")


def test_a_draft_and_all_turns_survive_a_reload(visitor: Visitor, alice: Client, talk: Story) -> None:
    page = open_chat(visitor, alice, talk)
    turn = say(page, talk, "I like tea")
    take_turn(talk, turn)
    answer(talk, "Noted.")
    expect(page.get_by_text("Noted.")).to_be_visible()
    composer(page).fill("and not yet sent")
    page.reload()
    expect(composer(page)).to_have_value("and not yet sent")
    expect(page.get_by_text("I like tea")).to_be_visible()
    expect(page.get_by_text("Noted.")).to_be_visible()
    assert len(list_turns(talk)) == 1


def test_a_turn_is_stopped(visitor: Visitor, alice: Client, talk: Story) -> None:
    page = open_chat(visitor, alice, talk)
    turn = say(page, talk, "write a long poem")
    take_turn(talk, turn)
    talk.speak(talk.begin_message(), "Roses are")
    expect(page.get_by_text("Roses are")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for(lambda: list_turns(talk)[0].get("cancel"), bool, what="the cancellation")
    end_turn(talk, "Canceled")
    expect(page.locator("[data-end=Canceled]")).to_contain_text("Stopped")
    # The conversation goes on.
    say(page, talk, "thank you")


def test_a_message_is_edited_and_answered_anew_from_where_it_was_said(
    visitor: Visitor, alice: Client, talk: Story
) -> None:
    page = open_chat(visitor, alice, talk)
    for number, text in enumerate(("one", "two", "three"), start=1):
        take_turn(talk, say(page, talk, text))
        answer(talk, f"answer {number}")
        expect(page.get_by_text(f"answer {number}")).to_be_visible()
    second = page.locator(f"[data-turn={list_turns(talk)[1]['name']}]")
    second.hover()
    second.get_by_role("button", name="Edit").click()
    expect(composer(page)).to_have_value("two")
    edited = say(page, talk, "two, but better")
    assert (edited["input"], edited["fromCheckpoint"]) == (words("two, but better"), "c1")
    expect(second).to_contain_text("no longer part of the conversation")
    take_turn(talk, edited)
    answer(talk, "answer 4")

    last = page.locator(f"[data-turn={edited['name']}]")
    last.hover()
    last.get_by_role("button", name="Answer anew").click()
    again = wait_turns(talk, 5)[-1]
    assert (again["input"], again["fromCheckpoint"]) == (words("two, but better"), "c1")
    expect(last).to_contain_text("no longer part of the conversation")


def test_the_first_message_is_edited_in_a_new_conversation_with_the_same_settings(
    visitor: Visitor, alice: Client, space: Space, backstage: Backstage, store: Database
) -> None:
    space.define("chat")
    settings = {"displayName": "Tea", "context": {"user": "ann", "id": 12345678901234567}, "keepWarmSeconds": 60}
    talk = begin_story(space, backstage, store, "tea", workflow="chat", mode="Conversation", **settings)
    talk.report(phase="Idle")
    page = open_chat(visitor, alice, talk)
    take_turn(talk, say(page, talk, "one <b>thing</b>"))
    answer(talk, "answer 1")
    expect(page.get_by_text("answer 1")).to_be_visible()
    first = page.locator(f"[data-turn={list_turns(talk)[0]['name']}]")
    # Answered anew it would be another conversation: that is said before anything is sent.
    for button in ("Answer anew", "Edit"):
        first.hover()
        first.get_by_role("button", name=button).click()
        expect(page.get_by_text("a new conversation begins with it")).to_be_visible()
        expect(composer(page)).to_have_value("one <b>thing</b>")
        page.get_by_role("button", name="Cancel").click()
        expect(composer(page)).to_have_value("")
    first.hover()
    first.get_by_role("button", name="Edit").click()
    visitor.check_accessibility()
    visitor.take_pictures("chat-edit")
    composer(page).fill("another thing")
    composer(page).press("Enter")
    expect(page).to_have_url(re.compile(rf"/chat/{space.name}/chat-[^/]+$"))
    expect(page.locator("[data-turn=t0001]")).to_contain_text("another thing")
    expect(page.get_by_text("answer 1")).to_have_count(0)
    made = space.session(page.url.rpartition("/")[2])["spec"]
    (turn,) = made["turns"]
    assert (turn["input"], turn["by"]) == (words("another thing"), made["createdBy"])
    assert {key: made[key] for key in settings} == settings
    assert made["mode"] == "Conversation"
    # The one that it came from is as it was.
    assert [each["input"] for each in list_turns(talk)] == [words("one <b>thing</b>")]
    page.go_back()
    expect(page.get_by_text("answer 1")).to_be_visible()
    expect(composer(page)).to_have_value("")


def test_a_message_that_is_json_is_edited_as_json(visitor: Visitor, alice: Client, talk: Story) -> None:
    page = open_chat(visitor, alice, talk)
    field = page.get_by_role("textbox")
    page.get_by_role("button", name="JSON", exact=True).click()
    field.fill('{"topic": "tea", "id": 12345678901234567}')
    field.press("Enter")
    (turn,) = wait_turns(talk, 1)
    take_turn(talk, turn)
    answer(talk, "answer 1")
    expect(page.get_by_text("answer 1")).to_be_visible()
    page.get_by_role("button", name="Text", exact=True).click()
    first = page.locator(f"[data-turn={turn['name']}]")
    first.hover()
    first.get_by_role("button", name="Edit").click()
    expect(page.get_by_text("a new conversation begins with it")).to_be_visible()
    # The API server sorts the members of what it keeps.
    expect(field).to_have_value('{\n  "id": 12345678901234567,\n  "topic": "tea"\n}')
    page.get_by_role("button", name="Cancel").click()
    # What is written next is words again.
    expect(composer(page)).to_have_value("")
    first.hover()
    first.get_by_role("button", name="Edit").click()
    field.fill(field.input_value().replace("tea", "coffee"))
    field.press("Enter")
    expect(page).to_have_url(re.compile(rf"/chat/{talk.space.name}/chat-[^/]+$"))
    (begun,) = talk.space.session(page.url.rpartition("/")[2])["spec"]["turns"]
    assert begun["input"] == {"topic": "coffee", "id": 12345678901234567}


def test_who_may_not_start_a_conversation_is_told_so_where_the_first_message_is_edited(
    visitor: Visitor, somebody: Callable[..., Client], talk: Story
) -> None:
    roles = talk.space.plane
    rule = {"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions"], "verbs": ["patch"]}
    role = {"metadata": {"name": f"{talk.space.name}-talk"}, "rules": [rule]}
    roles.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    page = open_chat(visitor, somebody("talker", "agentic-view", f"{talk.space.name}-talk"), talk)
    turn = say(page, talk, "one")
    take_turn(talk, turn)
    answer(talk, "answer 1")
    first = page.locator(f"[data-turn={turn['name']}]")
    expect(page.get_by_text("answer 1")).to_be_visible()
    first.hover()
    first.get_by_role("button", name="Edit").click()
    composer(page).fill("two")
    composer(page).press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("create")
    # What was written is still there.
    expect(composer(page)).to_have_value("two")
    assert len(talk.space.sessions()) == 1


def test_a_tool_call_is_approved_in_place(visitor: Visitor, alice: Client, talk: Story) -> None:
    page = open_chat(visitor, alice, talk)
    take_turn(talk, say(page, talk, "pay the bill"))
    talk.call_tool("pay", '{"amount": 42}')
    question = {
        "id": "q1",
        "node": "tools",
        "prompt": "Pay 42?",
        "options": [
            {"value": {"type": "approve"}, "label": "Approve"},
            {"value": {"type": "reject"}, "label": "Reject"},
        ],
        "askedAt": AT,
    }
    talk.ask(question)
    card = page.locator("[data-question=q1]")
    expect(card).to_contain_text("Pay 42?")
    card.get_by_role("button", name="Approve").click()
    (given,) = wait_for(
        lambda: talk.space.session("tea")["spec"].get("responses") or [], lambda found: len(found) == 1, what="answer"
    )
    assert given["value"] == {"type": "approve"}


def test_a_conversation_is_ended_and_takes_no_more(visitor: Visitor, alice: Client, talk: Story) -> None:
    page = open_chat(visitor, alice, talk)
    page.get_by_role("button", name="End the conversation").click()
    page.get_by_role("dialog").get_by_role("button", name="End the conversation").click()
    wait_for(lambda: talk.space.session("tea")["spec"].get("close"), bool, what="the end")
    expect(composer(page)).to_have_count(0)
    talk.report(phase="Completed")
    expect(page.get_by_text("This conversation has ended")).to_be_visible()
    visitor.check_accessibility()


def test_a_refused_turn_says_why_and_keeps_what_was_written(visitor: Visitor, alice: Client, talk: Story) -> None:
    page = open_chat(visitor, alice, talk)
    composer(page).fill("x" * 40_000)
    composer(page).press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("32 KiB")
    talk.space.change("tea", stop=True)
    expect(page.get_by_text("being stopped")).to_be_visible()
    assert list_turns(talk) == []


def test_a_session_that_is_no_conversation_leads_to_its_page(visitor: Visitor, alice: Client, space: Space) -> None:
    space.define()
    space.start("s1")
    visitor.sign_in(alice.token)
    visitor.open(f"/chat/{space.name}/s1")
    visitor.page.get_by_role("link", name="Session", exact=True).click()
    expect(visitor.page.get_by_role("heading", name="s1")).to_be_visible()
