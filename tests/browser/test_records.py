"""The logs and the trail of a session in the browser: followed, downloaded, and who may not see them."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from agentic_core.trail import ChainReader, Trail, append, find_root
from agentic_store.database import Database
from agentic_store.records import TrailRow
from tests.browser.stories import Backstage, Story, begin_story
from tests.support.browser import Visitor
from tests.support.kube import Space
from tests.support.log_kubelet import Kubelet, a_pod, begin
from tests.support.log_kubelet import kubelet as kubelet
from tests.trust.roles import Client

Json = dict[str, Any]
Somebody = Callable[..., Client]
HOSTILE = "<img src=x onerror=canary()><script>canary()</script> [a](javascript:canary())"
# A line that turns around what follows, one that a terminal would take for a colour, and one that hides.
MARKS = "before\u202eafter \x1b[31mred\x1b[0m zero\u200bwidth"


@pytest.fixture
def story(space: Space, backstage: Backstage, store: Database) -> Story:
    """A session that runs."""
    space.define()
    return begin_story(space, backstage, store)


@pytest.fixture
def reader(space: Space, somebody: Somebody) -> Client:
    """Somebody with the right of `kubectl logs`."""
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]
    role = {"metadata": {"name": f"{space.name}-logs"}, "rules": rules}
    space.plane.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    return somebody("reader", "agentic-view", f"{space.name}-logs")


def open_tab(visitor: Visitor, client: Client, story: Story, tab: str) -> Page:
    """Come in and open a tab of the session's page; whatever runs of a text is noted."""
    visitor.page.add_init_script("window.ran = []; window.canary = () => window.ran.push(new Error().stack);")
    visitor.sign_in(client.token)
    visitor.open(f"/sessions/{story.space.name}/{story.name}?tab={tab}")
    return visitor.page


def begin_pod(story: Story) -> str:
    """Start the pod of the session's run."""
    pod = a_pod(story.space, 1, session=story.name)
    begin(story.space, pod)
    return pod


def lines_of(page: Page) -> Locator:
    return page.get_by_role("log", name="Log of the pod")


def check_text_alone(page: Page) -> None:
    """Assert that nothing of a text ran, was drawn or hides."""
    assert page.evaluate("() => window.ran") == []
    assert page.locator("main img, main script, main a[href^='javascript']").count() == 0
    shown = page.locator("main").inner_text()
    assert not {"\u202e", "\x1b", "\u200b"} & set(shown)


# -- logs


def test_a_log_is_followed_while_it_is_written_until_its_pod_ends(
    visitor: Visitor, reader: Client, story: Story, kubelet: Kubelet
) -> None:
    pod = begin_pod(story)
    kubelet.write(pod, "the first line ü")
    page = open_tab(visitor, reader, story, "logs")
    expect(lines_of(page)).to_contain_text("the first line ü")
    for number in range(2, 5):
        kubelet.write(pod, f"line {number}")
        expect(lines_of(page)).to_contain_text(f"line {number}")
    visitor.check_accessibility()
    kubelet.write(pod, "the last line")
    kubelet.end(pod)
    expect(page.get_by_text("The log has ended.")).to_be_visible()
    expect(lines_of(page)).to_contain_text("the last line")
    assert kubelet.asked[-1][1]["follow"] == "true"

    page.get_by_label("Times").check()
    first = lines_of(page).locator("time").first
    expect(first).to_have_attribute("datetime", "2026-05-01T10:00:00.000000000Z")
    expect(first).to_have_text(re.compile(r"May.*:00:00\.000"))
    expect(lines_of(page)).to_contain_text("the first line ü")
    page.get_by_label("Follow").uncheck()
    expect(page.get_by_text("The log has ended.")).to_be_visible()
    assert "follow" not in kubelet.asked[-1][1]
    visitor.take_pictures("session-logs")


def test_what_a_pod_writes_is_text_and_what_does_not_show_is_written_out(
    visitor: Visitor, reader: Client, story: Story, kubelet: Kubelet
) -> None:
    pod = begin_pod(story)
    for text in (HOSTILE, MARKS, "", "x" * 30_000, "the end"):
        kubelet.write(pod, text)
    kubelet.end(pod)
    page = open_tab(visitor, reader, story, "logs")
    expect(page.get_by_text("The log has ended.")).to_be_visible()
    lines = lines_of(page)
    expect(lines).to_contain_text("the end")
    lines.evaluate("element => { element.scrollTop = 0; }")
    expect(lines).to_contain_text("<img src=x onerror=canary()><script>canary()</script>")
    expect(lines).to_contain_text("before\\u202eafter")
    check_text_alone(page)
    # Lines that are not wrapped are scrolled in their own place.
    page.get_by_label("Wrap lines").uncheck()
    visitor.wait_within_width()


def test_a_session_without_a_pod_says_why_there_is_no_log(visitor: Visitor, reader: Client, story: Story) -> None:
    page = open_tab(visitor, reader, story, "logs")
    expect(page.get_by_role("alert")).to_contain_text("no pod")
    visitor.check_accessibility()


def test_a_pod_that_goes_while_it_is_read_leaves_what_was_read(
    visitor: Visitor, reader: Client, story: Story, kubelet: Kubelet
) -> None:
    pod = begin_pod(story)
    kubelet.write(pod, "said before it went")
    page = open_tab(visitor, reader, story, "logs")
    expect(lines_of(page)).to_contain_text("said before it went")
    query = "?gracePeriodSeconds=0"
    story.space.plane.request("DELETE", f"/api/v1/namespaces/{story.space.name}/pods/{pod}{query}")
    kubelet.end(pod)
    expect(page.get_by_text("The log has ended.")).to_be_visible()
    expect(lines_of(page)).to_contain_text("said before it went")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("no pod")


def test_who_may_not_read_logs_is_told_which_right_is_missing(visitor: Visitor, alice: Client, story: Story) -> None:
    begin_pod(story)
    page = open_tab(visitor, alice, story, "logs")
    expect(page.get_by_role("alert")).to_contain_text("pods")
    expect(lines_of(page)).to_have_count(0)
    visitor.check_accessibility()


# -- the trail


def store_trail(story: Story, *answers: Json) -> list[str]:
    """Store a trail as the operator does, and return the hashes of its entries."""
    space = story.space
    trail = Trail()
    for value, entry in enumerate(answers):
        trail = append(trail, find_root(space.name, story.name, story.uid), entry, value=str(value))
    rows = [
        TrailRow(
            project_name=space.name,
            session_name=story.name,
            session_uid=story.uid,
            seq=each.seq,
            entry=each.entry,
            hash=each.hash,
            value=each.value,
        )
        for each in trail.pending
    ]
    story.backstage.run(story.store.trails.store(rows))
    return [each.hash for each in trail.pending]


@pytest.fixture
def auditor(somebody: Somebody) -> Client:
    return somebody("auditor", "agentic-view", "agentic-audit")


def test_a_trail_is_shown_and_downloaded_as_it_is_verified(visitor: Visitor, auditor: Client, story: Story) -> None:
    hashes = store_trail(
        story,
        {"at": "2026-01-01T00:00:00Z", "kind": "Counted", "by": "ann", "interruptId": "q1"},
        {"at": "2026-01-01T00:01:00Z", "kind": "Refused", "by": MARKS, "interruptId": HOSTILE},
        {"at": "2026-01-01T00:02:00Z", "kind": "Accepted", "by": HOSTILE, "interruptId": "q1"},
    )
    page = open_tab(visitor, auditor, story, "audit")
    entries = page.locator("[data-audit]")
    expect(entries).to_have_count(3)
    expect(entries.nth(0)).to_contain_text("Answer counted")
    expect(entries.nth(0)).to_contain_text(hashes[0][:12])
    expect(entries.nth(1)).to_contain_text("before\\u202eafter")
    expect(entries.nth(2)).to_contain_text("<img src=x onerror=canary()>")
    for entry in entries.all():
        entry.locator("summary").click()
    expect(entries.nth(1)).to_contain_text("interruptId")
    expect(page.get_by_text("agentic audit verify checks")).to_be_visible()
    check_text_alone(page)
    visitor.check_accessibility()
    visitor.take_pictures("session-audit")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as JSON lines").click()
    assert download.value.suggested_filename == f"{story.name}-audit.jsonl"
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    reader = ChainReader()
    assert [*(fault for line in lines for fault in reader.read(line)), *reader.finish()] == []
    assert reader.entries == 3
    assert json.loads(lines[2])["entry"]["by"] == HOSTILE


def test_a_session_in_which_nothing_was_answered_says_so(visitor: Visitor, auditor: Client, story: Story) -> None:
    page = open_tab(visitor, auditor, story, "audit")
    expect(page.get_by_text("Nothing was answered yet.")).to_be_visible()
    visitor.check_accessibility()


def test_who_may_not_read_the_trail_is_told_which_right_is_missing(
    visitor: Visitor, alice: Client, story: Story
) -> None:
    store_trail(story, {"at": "2026-01-01T00:00:00Z", "kind": "Accepted", "by": "ann"})
    page = open_tab(visitor, alice, story, "audit")
    expect(page.get_by_role("alert")).to_contain_text("agenticsessions/audit")
    expect(page.locator("[data-audit]")).to_have_count(0)
