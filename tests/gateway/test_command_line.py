"""``agentic chat`` and ``watch`` with a gateway: what is said is shown as it is said, and nothing else changes."""

import asyncio
import http.server
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from tests.integration.test_cli_conversations import MESSAGES
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.person import Person, Terminal
from tests.support.postgres import PostgresDatabase
from tests.support.streams import record_running
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Somebody = Callable[..., Client]
ABOUT: dict[str, Any] = {"message_id": "m1", "index": 0, "turn": 1}
CALL: dict[str, Any] = {"message_id": "m1", "index": 1, "turn": 1}


@pytest.fixture
def person(space: Space, somebody: Somebody) -> Person:
    """A program's account with a token in its kubeconfig, which may read, start and answer."""
    somebody("alice", "agentic-view", "agentic-edit")
    return Person.using(space.plane.kubeconfig_for_service_account(space.name, "alice"))


class Talk:
    """A session's rows and status, as its runner writes them."""

    def __init__(self, space: Space, events: PostgresDatabase, name: str) -> None:
        self._space = space
        self._events = events
        self._name = name
        found = wait_for(lambda: space.find(name), lambda session: session is not None, what=f"session {name}")
        assert found is not None
        self._uid = str(found["metadata"]["uid"])
        self._write(None)

    def _write(self, rows: Sequence[NewEvent] | None) -> None:
        async def write() -> None:
            async with open_database(Dsn.parse(self._events.dsn), application_name="test") as store:
                if rows is not None:
                    await store.events.append(self._uid, 1, rows)
                    return
                await record_running(store, self._space, self._uid, self._name, workflow="support")

        asyncio.run(write())

    def say(self, event: str, *, turn: int = 0, **data: Any) -> None:
        """Write a row of a turn."""
        self._write([NewEvent(event, data, turn=turn)])

    def begin_turn(self) -> None:
        """Take up the first turn."""
        mark = {"name": "t0001", "number": 1, "by": "", "startedAt": "2026-01-01T00:00:00Z"}
        self._space.report(
            self._name, phase="Running", reason="Running", turn=mark, turnCount=1, turns=[{**mark, "phase": "Running"}]
        )

    def end_turn(self, reply: str) -> None:
        """Complete it."""
        end = {"name": "t0001", "number": 1, "phase": "Completed", "finishedAt": "2026-01-01T00:00:09Z"}
        said = [{"type": "human", "content": "hi"}, {"type": "ai", "content": reply}]
        self._space.report(self._name, phase="Idle", reason="Idle", turnEnd=end, result={"messages": said})
        turns = [{**end, "startedAt": "2026-01-01T00:00:00Z"}]
        self._space.report(self._name, phase="Idle", turn=None, turns=turns)


@pytest.mark.parametrize("columns", [80, 200])
def test_a_reply_is_shown_as_it_is_said_and_a_call_of_a_tool_in_a_line(
    gateway: Gateway, space: Space, person: Person, events: PostgresDatabase, columns: int
) -> None:
    space.define("support", inputSchema=MESSAGES)
    arguments = ("chat", "support", "--name", "c", "--server", gateway.address)
    with person.terminal(*arguments, COLUMNS=str(columns)) as terminal:
        terminal.expect("> ")
        terminal.type("hi")
        talk = Talk(space, events, "c")
        talk.begin_turn()
        terminal.expect("Running")
        talk.say("message-start", message_id="m1", role="ai", node="ask", turn=1)
        talk.say("content-block-start", **ABOUT, block="text")
        talk.say("content-block-delta", **ABOUT, text="Let me ")
        terminal.expect("Let me ")
        talk.say("content-block-delta", **ABOUT, text="look.")
        terminal.expect("look.")
        talk.say("content-block-finish", **ABOUT)
        talk.say("content-block-start", **CALL, block="tool_call", name="search", call="c1")
        talk.say("content-block-delta", **CALL, text='{"query": "' + "x" * 120 + '"}')
        talk.say("content-block-finish", **CALL)
        terminal.expect("→ search({")
        talk.say("tool-finished", call="c1", name="search", status="success", output="one", turn=1)
        terminal.expect("← search: one")
        finally_said: dict[str, Any] = {"message_id": "m2", "index": 0, "turn": 1}
        talk.say("content-block-start", **finally_said, block="text")
        talk.say("content-block-delta", **finally_said, text="There is one.")
        talk.say("content-block-finish", **finally_said)
        talk.say("completed", size=1, turn=1)
        terminal.expect("There is one.")
        talk.end_turn("There is one.")
        terminal.expect("> ")
        terminal.press("d")
        assert terminal.end() == 0
    assert terminal.text.count("There is one.") == 1
    (line,) = [each for each in lines(terminal) if "→ search" in each]
    assert len(line) < columns
    assert line.endswith("…") == (columns == 80)


def lines(terminal: Terminal) -> list[str]:
    """Return what was on the terminal, line by line."""
    return [line.rpartition("\x1b[2K")[2] for line in terminal.text.replace("\r", "").split("\n")]


def test_without_a_terminal_each_text_is_a_line_between_the_changes(
    gateway: Gateway, space: Space, person: Person, events: PostgresDatabase
) -> None:
    space.define()
    space.start("s1")
    space.report("s1", phase="Creating", run=1)
    space.report("s1", phase="Running")
    talk = Talk(space, events, "s1")
    talk.say("content-block-delta", message_id="m0", index=0, text="said before")
    with person.start("watch", "s1", "--server", gateway.address) as running:
        running.expect("Running")
        talk.say("content-block-start", message_id="m1", index=0, block="text")
        talk.say("content-block-delta", message_id="m1", index=0, text="I am ")
        talk.say("content-block-delta", message_id="m1", index=0, text="here")
        talk.say("content-block-finish", message_id="m1", index=0)
        running.expect("I am here\n")
        talk.say("completed", size=1)
        space.report("s1", phase="Completed", reason="Completed", result={})
        assert running.end() == 0
    assert "said before" not in running.out
    assert running.out.rstrip().splitlines()[-1].endswith("Completed")


@contextmanager
def something_else() -> Iterator[str]:
    """A web server that is no gateway."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_is_missing_or_wrong_is_told_in_one_line(space: Space, person: Person, tmp_path: Any) -> None:
    space.define()
    space.start("s1")
    (tmp_path / "ca.pem").write_text("no certificates", encoding="utf-8")
    by_certificate = Person.using(
        space.plane.kubeconfig_for_user("bob", groups=["system:masters"], namespace=space.name)
    )
    with something_else() as address:
        for somebody, arguments, text in (
            (person, ("--server", "http://127.0.0.1:9"), "gateway http://127.0.0.1:9 cannot be reached"),
            (person, ("--server", address), "answers, but not as a gateway: is the address right?"),
            (person, ("--server", "http://gateway.example.org"), "is not encrypted"),
            (person, ("--server", "gateway"), "is no gateway's address"),
            (person, ("--server", address, "--ca", str(tmp_path / "ca.pem")), "holds no certificates"),
            (
                by_certificate,
                ("--server", address),
                "a gateway wants a token, and user '",
            ),
        ):
            done = somebody.run("watch", "s1", *arguments)
            assert done.returncode != 0, arguments
            assert text in done.stderr, arguments
            assert len(done.stderr.splitlines()) == 1, arguments
            assert done.stdout == ""
