"""The page of one session: what happens is seen at once, nothing gets lost, and nothing of a workflow's runs."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, WebSocket, expect
from psycopg.types.json import Jsonb

from agentic_core.lifecycle import Phase
from agentic_store.database import Database
from agentic_store.results.output import encode_output
from agentic_store.thread_values import ThreadValues
from tests.browser.stories import Backstage, Story, begin_story
from tests.support.browser import Visitor
from tests.support.kube import Space
from tests.support.link import Link
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Json = dict[str, Any]
Somebody = Callable[..., Client]
GRAPH = {
    "nodes": ["__start__", "load", "analyse", "review", "publish", "__end__"],
    "edges": [
        "__start__ -> load",
        "load -> analyse",
        "analyse -> review",
        "review -> analyse",
        "review -> publish",
        "publish -> __end__",
    ],
}
QUESTION = {
    "id": "q1",
    "node": "review",
    "prompt": "Publish the report?",
    "value": {"prompt": "Publish the report?", "amount": 1234567890123456789},
    "options": [{"value": {"approved": True}, "label": "Approve"}, {"value": {"approved": False}, "label": "Reject"}],
    "askedAt": "2026-03-01T12:00:05Z",
}


@pytest.fixture
def story(space: Space, backstage: Backstage, store: Database) -> Story:
    """A session that runs, of a workflow with a graph."""
    space.define(status={"graph": GRAPH})
    return begin_story(space, backstage, store, inputs={"file": "rivers.csv", "limit": 1234567890123456789})


def open_session(visitor: Visitor, client: Client, story: Story, *, tab: str = "") -> Page:
    """Come in and open the session."""
    visitor.sign_in(client.token)
    visitor.open(f"/sessions/{story.space.name}/{story.name}{f'?tab={tab}' if tab else ''}")
    return visitor.page


def find_connection(page: Page, state: str) -> Locator:
    return page.locator(f"[data-connection={state}]")


def wait_live(page: Page) -> None:
    expect(find_connection(page, "connected")).to_be_visible()


def read_items(page: Page) -> list[str]:
    """Return the texts of all items that the page's list draws."""
    return page.get_by_role("log", name="Messages").locator("[data-item]").all_inner_texts()


# -- what happens


def test_what_happens_is_on_the_page_within_seconds(visitor: Visitor, alice: Client, story: Story) -> None:
    page = open_session(visitor, alice, story)
    wait_live(page)
    story.start_node("load")
    expect(page.locator("[data-task=load][data-state=running]")).to_be_visible()
    expect(page.locator("[data-node=load][data-look=running]")).to_be_visible()
    expect(page.locator("[data-node=publish][data-look=not-yet]")).to_be_visible()

    about = {"node": "load", "task": "load-1-0"}
    story.add(("node_finished", about), ("progress", {"progress": 0.4, "message": "two of five", "node": "load"}))
    expect(page.locator("[data-node=load][data-look=done]")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Progress")).to_have_attribute("value", "40")

    message = story.begin_message("analyse")
    for part in ("The river ", "is **high", "** today."):
        story.speak(message, part)
    said = page.locator("[data-item=said]")
    expect(said.get_by_text("The river is high today.")).to_be_visible()
    expect(said.locator("strong")).to_have_text("high")
    expect(said).to_have_attribute("data-open", "true")
    story.end_message(message, usage={"total_tokens": 1234})
    expect(said).to_have_attribute("data-open", "false")
    expect(said).to_contain_text("1,234 tokens")

    story.call_tool("search", '{"q": "level"}', "3.5 m")
    tool = page.locator("[data-tool=search]")
    tool.get_by_role("button").click()
    expect(tool).to_contain_text("3.5 m")

    for _ in range(2):
        story.run += 1
        story.node("analyse")
    expect(page.locator("[data-node=analyse]")).to_contain_text("×2")
    expect(page.get_by_role("list", name="Nodes and their states")).to_contain_text("analyse: done, started 2 times")
    # The way back from the review is drawn around the nodes, and not behind them.
    expect(page.locator(".react-flow__edge-back")).to_have_attribute("data-id", '["review","analyse"]')
    visitor.check_accessibility()
    visitor.take_pictures("session-running")


def test_a_question_is_answered_and_stays_over_a_reload(visitor: Visitor, alice: Client, story: Story) -> None:
    page = open_session(visitor, alice, story)
    wait_live(page)
    story.node("load")
    story.ask(QUESTION)
    question = page.locator("[data-question=q1]")
    expect(question.get_by_text("Publish the report?").first).to_be_visible()
    expect(question).to_contain_text("1234567890123456789")
    page.reload()
    expect(question.get_by_role("button", name="Approve")).to_be_visible()
    expect(question.get_by_role("button", name="Reject")).to_be_visible()
    expect(page.locator("[data-entry=wait]")).to_contain_text("Waits for an answer")
    visitor.check_accessibility()
    visitor.take_pictures("session-question")
    question.get_by_role("button", name="Approve").click()
    (given,) = wait_for(
        lambda: story.space.session("s1")["spec"].get("responses") or [], lambda found: len(found) == 1, what="answer"
    )
    assert (given["interruptId"], given["value"]) == ("q1", {"approved": True})
    assert given["by"].endswith(":alice")


def test_a_session_is_the_same_after_a_reload_at_each_step(visitor: Visitor, alice: Client, story: Story) -> None:
    page = open_session(visitor, alice, story)
    wait_live(page)

    def require_same(*shown: str) -> None:
        items = page.get_by_role("log", name="Messages").locator("[data-item]")
        expect(items).to_have_count(len(shown))
        for number, text in enumerate(shown):
            expect(items.nth(number)).to_contain_text(text)
        before = read_items(page)
        page.reload()
        expect(page.locator("[data-connection]")).to_be_visible()
        wait_for(lambda: read_items(page), lambda found: found == before, what=f"{before} after a reload")

    story.node("load")
    require_same()
    message = story.begin_message()
    story.speak(message, "Half of it")
    require_same("Half of it")
    story.speak(message, " and the rest")
    story.end_message(message)
    expect(page.locator("[data-item=said]")).to_have_attribute("data-open", "false")
    require_same("Half of it and the rest")
    story.call_tool("search", "{}")
    require_same("Half of it and the rest", "search")
    story.ask(QUESTION)
    expect(page.locator("[data-question=q1]")).to_be_visible()
    require_same("Half of it and the rest", "search", "Publish the report?")
    expect(page.locator("[data-question=q1]")).to_be_visible()
    story.report(phase="Running", interrupts=[{**QUESTION, "answeredAt": "2026-03-01T12:10:00Z"}])
    story.complete(result={"outliers": 3})
    expect(find_connection(page, "closed")).to_have_text("Complete")
    require_same("Half of it and the rest", "search", "Publish the report?")


# -- the connection


def test_the_connection_is_shown_as_it_is(
    open_window: Callable[..., Visitor], alice: Client, story: Story, link: Link, backstage: Backstage
) -> None:
    visitor = open_window(link.url)
    held: list[Route] = []
    visitor.page.route("**/tickets", lambda route: held.append(route))
    page = open_session(visitor, alice, story)
    expect(find_connection(page, "connecting")).to_have_text("Connecting")
    wait_for(lambda: page.evaluate("() => 0") or held, bool, what="the request for a ticket")
    held[0].continue_()
    page.unroute("**/tickets")
    expect(find_connection(page, "connected")).to_have_text("Live")
    backstage.do(link.shut)
    expect(find_connection(page, "disconnected")).to_have_text("Disconnected")
    expect(page.get_by_text(re.compile("next attempt in"))).to_be_visible()
    visitor.take_pictures("session-disconnected")
    backstage.run(link.open())
    expect(find_connection(page, "connected")).to_be_visible()
    story.complete(result={})
    expect(find_connection(page, "closed")).to_have_text("Complete")
    # It is over: nothing opens a stream any more.
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    asked = len(visitor.requests)
    page.evaluate("() => window.dispatchEvent(new Event('online'))")
    page.get_by_role("tab", name="Result").click()
    expect(page.locator("[data-result]")).to_be_visible()
    assert sockets == []
    assert not any("/tickets" in request.url for request in visitor.requests[asked:])
    visitor.forgive_losses()


def test_a_session_that_is_deleted_or_no_longer_readable_says_so(
    visitor: Visitor, alice: Client, story: Story, space: Space
) -> None:
    page = open_session(visitor, alice, story)
    wait_live(page)
    space.delete("s1")
    closed = find_connection(page, "closed")
    expect(closed).to_have_attribute("data-cause", "gone", timeout=90_000)


def test_nothing_is_lost_or_doubled_over_broken_connections(
    open_window: Callable[..., Visitor], alice: Client, story: Story, link: Link, backstage: Backstage
) -> None:
    visitor = open_window(link.url)
    page = open_session(visitor, alice, story)
    wait_live(page)
    message = story.begin_message()
    words = []
    for number in range(60):
        words.append(f"w{number} ")
        story.speak(message, words[-1])
        if number % 10 == 5:
            backstage.do(link.cut)
    expect(page.get_by_text("".join(words).strip())).to_be_visible()
    story.end_message(message)
    expect(page.locator("[data-item=said]")).to_have_attribute("data-open", "false")
    assert page.locator("[data-item=gap]").count() == 0
    assert page.locator("[data-item=said]").count() == 1
    visitor.forgive_losses()


def test_what_is_no_longer_kept_is_shown_as_a_gap(
    open_window: Callable[..., Visitor],
    alice: Client,
    story: Story,
    link: Link,
    backstage: Backstage,
    events: PostgresDatabase,
) -> None:
    visitor = open_window(link.url)
    page = open_session(visitor, alice, story)
    story.add(("custom", {"data": "first"}))
    expect(page.get_by_text("first")).to_be_visible()
    backstage.do(link.shut)
    expect(find_connection(page, "disconnected")).to_be_visible()
    story.add(*(("custom", {"data": f"number {n}"}) for n in range(2, 1500)))
    events.execute("DELETE FROM session_events WHERE session_uid = %s AND seq BETWEEN 2 AND 400", [story.uid])
    backstage.run(link.open())
    wait_live(page)
    feed = page.get_by_role("log", name="Messages")
    expect(feed.get_by_text("number 1499")).to_be_visible()
    feed.hover()
    page.mouse.wheel(0, -1_000_000)
    gap = page.locator("[data-item=gap]")
    expect(gap).to_contain_text("2 to 400")
    expect(feed.get_by_text("number 401", exact=False)).to_be_visible()
    visitor.forgive_losses()


# -- what came of it


def test_a_large_result_is_a_reference_and_never_in_a_frame(
    visitor: Visitor, alice: Client, story: Story, backstage: Backstage, store: Database
) -> None:
    frames: list[int] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: frames.append(len(payload)))

    visitor.page.on("websocket", watch)
    page = open_session(visitor, alice, story)
    wait_live(page)
    size = 5 * 1024 * 1024
    result = {"text": "x" * size}
    story.complete(resultRef=store_result(backstage, store, story, result))
    expect(find_connection(page, "closed")).to_be_visible()
    page.get_by_role("tab", name="Result").click()
    expect(page.get_by_text("The result is 5.0 MiB large")).to_be_visible()
    assert frames
    assert max(frames) < 1024 * 1024
    assert not any("/result" in request.url for request in visitor.requests)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    found = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert found == result
    page.get_by_role("button", name="Show it").click()
    expect(page.get_by_text("more characters")).to_be_visible()


def store_result(backstage: Backstage, store: Database, story: Story, result: Json) -> Json:
    """Store a result as a runner does, and return its reference."""
    backstage.run(store.sessions.finish(story.uid, 1, Phase.COMPLETED, output=encode_output(result)))
    text = json.dumps(result)
    return {"size": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest(), "url": "postgresql:///x"}


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        pytest.param(
            [{"name": "Ebro", "level": 1.50}, {"name": "Po", "level": 2}], ["Ebro", "1.5", "2 of 2 rows"], id="a table"
        ),
        pytest.param({"total": 3, "by": {"Ebro": [1, 2]}}, ["total", "Ebro"], id="a tree"),
        pytest.param("# Report\n\nAll is *well*.", ["Report", "All is well."], id="text"),
    ],
)
def test_a_result_is_shown_by_its_shape(
    visitor: Visitor, alice: Client, story: Story, result: Any, shown: list[str]
) -> None:
    story.complete(result=result)
    page = open_session(visitor, alice, story, tab="result")
    for text in shown:
        expect(page.locator("[data-result]")).to_contain_text(text)
    visitor.check_accessibility()


def test_an_image_is_drawn_under_the_policy(visitor: Visitor, alice: Client, story: Story) -> None:
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    story.complete(result={"chart": f"data:image/png;base64,{png}", "drawing": "data:image/svg+xml;base64,PHN2Zz4="})
    page = open_session(visitor, alice, story, tab="result")
    canvas = page.get_by_role("img", name="chart")
    expect(canvas).to_be_visible()
    # It is as large as the image is once that is drawn.
    wait_for(lambda: canvas.evaluate("canvas => canvas.width"), lambda width: width == 1, what="the image")
    assert canvas.evaluate("canvas => canvas.getContext('2d').getImageData(0, 0, 1, 1).data[3]") > 0
    assert page.locator("canvas").count() == 1


def test_a_failure_says_what_to_do_and_is_retried(visitor: Visitor, alice: Client, story: Story) -> None:
    story.start_node("load")
    error = {"type": "KeyError", "message": "no column 'amount'", "node": "load", "retriable": False}
    story.add(
        ("node_failed", {"node": "load", "task": "load-1-0", "error": "KeyError"}),
        ("failed", {**error, "reason": "GraphError"}),
    )
    story.report(phase="Failed", reason="GraphError", error=error, completionTime="2026-03-01T12:00:09Z")
    page = open_session(visitor, alice, story)
    standing = page.locator("[data-standing=failed]")
    expect(standing).to_contain_text("no column 'amount'")
    expect(standing).to_contain_text("Correct the workflow")
    expect(page.locator("[data-node=load][data-look=failed]")).to_be_visible()
    visitor.check_accessibility()
    visitor.take_pictures("session-failed")
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(page).to_have_url(re.compile(r"/sessions/[^/]+/s1-"))
    (made,) = [each for each in story.space.sessions() if each["metadata"]["name"] != "s1"]
    assert made["spec"]["forkFrom"]["session"] == "s1"


def test_a_session_that_cannot_start_says_why_and_what_to_do(visitor: Visitor, alice: Client, space: Space) -> None:
    space.define()
    space.start("s1")
    condition = {
        "type": "Scheduled",
        "status": "False",
        "reason": "QuotaExceeded",
        "message": "exceeded quota: pods, used 5 of 5",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    space.report("s1", phase="Pending", reason="QuotaExceeded", message=condition["message"], conditions=[condition])
    visitor.sign_in(alice.token)
    visitor.open(f"/sessions/{space.name}/s1")
    standing = visitor.page.locator("[data-standing=waiting]")
    expect(standing).to_contain_text("exceeded quota")
    expect(standing).to_contain_text("raise its ResourceQuota")
    visitor.check_accessibility()


def test_a_session_is_suspended_resumed_and_stopped(visitor: Visitor, alice: Client, story: Story) -> None:
    page = open_session(visitor, alice, story)
    page.get_by_role("button", name="Suspend").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Suspend")).to_be_visible()
    assert story.space.session("s1")["spec"]["suspend"] is False
    page.get_by_role("button", name="Stop").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("cannot be taken back")
    dialog.get_by_role("button", name="Cancel").click()
    assert "stop" not in story.space.session("s1")["spec"]
    page.get_by_role("button", name="Stop").click()
    dialog.get_by_role("button", name="Stop").click()
    wait_for(lambda: story.space.session("s1")["spec"].get("stop"), bool, what="stop")


def test_checkpoints_are_compared_and_forked_with_other_values(visitor: Visitor, alice: Client, story: Story) -> None:
    history = [
        {"id": f"1f0-{step}", "step": step, "node": node, "next": after, "at": f"2026-03-01T12:00:0{step + 1}Z"}
        for step, node, after in [(0, None, "load"), (1, "load", "analyse"), (2, "analyse", "review")]
    ]
    history = [{key: value for key, value in each.items() if value is not None} for each in history]
    story.report(history=history, checkpointId="1f0-2")
    page = open_session(visitor, alice, story, tab="checkpoints")
    page.get_by_label("Choose checkpoint 1f0-0 to compare").check()
    page.get_by_label("Choose checkpoint 1f0-2 to compare").check()
    comparison = page.locator("[data-comparison]")
    expect(comparison).to_contain_text("load, analyse")
    expect(comparison).to_contain_text("2 s")
    visitor.check_accessibility()
    page.locator("[data-checkpoint='1f0-1']").get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    values = dialog.get_by_label("State values to change")
    values.fill("[1]")
    expect(dialog.get_by_role("button", name="Fork", exact=True)).to_be_disabled()
    values.fill('{"limit": 1234567890123456789}')
    dialog.get_by_label("Name").fill("s1-fork")
    dialog.get_by_role("button", name="Fork", exact=True).click()
    expect(page).to_have_url(re.compile("/s1-fork"))
    fork = story.space.session("s1-fork")["spec"]["forkFrom"]
    assert fork == {"session": "s1", "checkpointId": "1f0-1", "values": {"limit": 1234567890123456789}}


def test_the_state_at_a_checkpoint_and_what_changed_in_it_are_shown_to_whom_it_is_shown(
    visitor: Visitor, somebody: Somebody, story: Story, events: PostgresDatabase
) -> None:
    steps = [("1f0-1", "load", {"rows": 9007199254740992, "topic": "<b>tea</b>"}), ("1f0-2", "analyse", {})]
    steps[1][2].update(steps[0][2], rows=9007199254740993, found=["a"])
    history = [
        {"id": id_, "step": step, "node": node, "at": f"2026-03-01T12:00:0{step}Z"}
        for step, (id_, node, _) in enumerate(steps)
    ]
    story.report(history=history, checkpointId="1f0-2")
    ((thread,),) = events.execute("SELECT thread_id FROM workflow_sessions WHERE session_uid = %s", [story.uid])
    for id_, _, values in steps:
        saved = Jsonb({"channel_values": values, "channel_versions": {}})
        events.execute(
            "INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, type, checkpoint, metadata)"
            " VALUES (%s, '', %s, NULL, %s, '{}')",
            [thread, id_, saved],
        )
    reader = somebody("reader", "agentic-view", "agentic-state")
    page = open_session(visitor, reader, story, tab="checkpoints")
    first, second = (page.get_by_label(f"Choose checkpoint {id_} to compare") for id_, _, _ in steps)
    states = page.locator("[data-states]")
    first.check()
    expect(states).to_contain_text("no state of this session is kept")
    first.uncheck()
    kept = ThreadValues(run=1, checkpoint_id="1f0-3", state="{}", keeps_history=True)
    story.backstage.run(story.store.thread_values.write(story.uid, kept, ["rows", "topic", "found"]))
    page.reload()
    first.check()
    expect(states).to_contain_text("9007199254740992")
    expect(states).to_contain_text("<b>tea</b>")
    second.check()
    expect(states.locator("[data-change='rows']")).to_contain_text("9007199254740993")
    expect(states.locator("[data-change='found']")).to_contain_text("nothing")
    expect(states.locator("[data-change]")).to_have_count(2)
    visitor.check_accessibility()


def test_who_may_not_see_the_state_is_told_which_right_is_missing(
    visitor: Visitor, alice: Client, story: Story
) -> None:
    story.report(history=[{"id": "1f0-1", "step": 1, "node": "load"}], checkpointId="1f0-1")
    page = open_session(visitor, alice, story, tab="checkpoints")
    page.get_by_label("Choose checkpoint 1f0-1 to compare").check()
    expect(page.locator("[data-states]")).to_contain_text("agenticsessions/state")


def test_the_resource_is_shown_as_yaml_with_all_digits(visitor: Visitor, alice: Client, story: Story) -> None:
    page = open_session(visitor, alice, story, tab="resource")
    yaml = page.locator("[data-yaml]")
    expect(yaml).to_contain_text("limit: 1234567890123456789")
    expect(yaml).not_to_contain_text("managedFields")
    visitor.check_accessibility()


def test_what_somebody_may_not_see_names_the_right(
    visitor: Visitor, somebody: Somebody, story: Story, space: Space
) -> None:
    viewer = somebody("viewer", "agentic-view")
    page = open_session(visitor, viewer, story, tab="audit")
    expect(page.get_by_role("alert")).to_contain_text("agenticsessions/audit")
    visitor.open(f"/sessions/{space.name}/none")
    expect(page.get_by_role("alert")).to_contain_text("none")
    visitor.open("/sessions/kube-system/s1")
    expect(page.get_by_role("alert")).to_contain_text("agenticsessions")


# -- what a workflow controls is text

SCRIPTS = (
    "<img src=x onerror=canary()>",
    "<script>canary()</script>",
    "<svg onload=canary()>",
    "[a](javascript:canary())",
    "![b](https://example.org/x.png)",
    "<a href='data:text/html,<script>canary()</script>'>c</a>",
    "\u202e\u200b{{constructor.constructor('canary()')()}}",
)


def test_nothing_that_a_workflow_says_runs_or_hides(
    visitor: Visitor, alice: Client, space: Space, backstage: Backstage, store: Database
) -> None:
    evil = " ".join(SCRIPTS)
    names = [f"{text[:200]}" for text in SCRIPTS if "\u202e" not in text]
    graph = {"nodes": ["__start__", *names, "__end__"], "edges": [f"__start__ -> {name}" for name in names]}
    space.define(status={"graph": graph})
    story = begin_story(space, backstage, store, displayName="<img src=x onerror=canary()>", inputs={evil: evil})
    visitor.page.add_init_script("window.ran = []; window.canary = () => window.ran.push(new Error().stack);")
    page = open_session(visitor, alice, story)
    wait_live(page)
    for name in names:
        story.node(name, task=name[:40])
    message = story.begin_message(evil[:200], model=evil[:200])
    story.speak(message, *(f"{each}\n\n" for each in SCRIPTS), "```html\n", evil, "\n```\n")
    story.end_message(message)
    story.call_tool(evil[:200], json.dumps({evil: evil}), evil, status=evil[:50])
    story.add(
        ("custom", {"data": {evil: [evil]}, "node": evil[:200]}),
        ("warning", {"message": evil}),
        ("attempt_failed", {"attempt": 1, "of": 2, "error": evil}),
        ("progress", {"progress": 0.5, "message": evil[:200]}),
        (evil[:60], {"message": evil}),
        ("gap", {"reason": evil, "count": 3}),
    )
    story.ask({**QUESTION, "prompt": evil, "value": {evil: evil}, "options": [{"value": evil, "label": evil[:200]}]})
    expect(page.locator("[data-question=q1]")).to_be_visible()
    for tab in ("Result", "Checkpoints", "Resource", "Activity"):
        page.get_by_role("tab", name=tab, exact=True).click()
    expect(page.get_by_text("onerror=canary()").first).to_be_visible()
    feed = page.get_by_role("log", name="Messages")
    for top in range(0, 4000, 300):
        feed.evaluate("(element, top) => { element.scrollTop = top; }", top)
    for tool in page.locator("[data-tool] > button").all():
        tool.click()
    story.report(phase="Running", interrupts=[])
    story.complete(
        result={"html": evil, evil: [{"a": evil}, {"a": 1}], "image": "data:image/svg+xml,<svg onload=canary()>"}
    )
    expect(find_connection(page, "closed")).to_be_visible()
    page.get_by_role("tab", name="Result").click()
    expect(page.locator("[data-result]")).to_contain_text("onerror=canary()")

    assert page.evaluate("() => window.ran") == []
    assert page.locator("img:not([src^='/'])").count() == 0
    assert page.locator("[data-item] script, [data-item] svg[onload], [data-result] script").count() == 0
    for anchor in page.locator("main a[href]").all():
        assert re.match(r"https?://|/", anchor.get_attribute("href") or "")
    # Marks that turn a line around are written out, as the command line writes them.
    assert "\u202e" not in page.locator("main").inner_text()
    assert visitor.faults == []
