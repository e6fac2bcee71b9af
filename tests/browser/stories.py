"""Sessions that do something while somebody looks: rows of their event logs, written as their runners write them."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from tests.support.builders import wire_time
from tests.support.kube import Space
from tests.support.link import Link
from tests.support.postgres import PostgresDatabase
from tests.support.streams import record_running
from tests.support.waiting import PATIENCE_SECONDS

Json = dict[str, Any]
T = TypeVar("T")


class Backstage:
    """An event loop in a thread of its own: the browser's counts as that of the tests' thread while it is open."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="backstage", daemon=True)
        self._stack = AsyncExitStack()
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of something asynchronous."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_SECONDS)

    def open_store(self, database: PostgresDatabase) -> Database:
        """Open a database until the end."""
        opened = open_database(Dsn.parse(database.dsn), application_name="test")
        return self.run(self._stack.enter_async_context(opened))

    def open_link(self, server: str) -> Link:
        """Serve a link to a server until the end; its methods are called by :meth:`do`."""
        link = Link([server])
        self.run(link.open())
        self._stack.callback(link.shut)
        return link

    def do(self, action: Any) -> None:
        """Call something in the loop's thread, and wait for it."""

        async def call() -> None:
            action()

        self.run(call())

    def close(self) -> None:
        """End what was opened, and the thread."""
        self.run(self._stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self.loop.close()


@contextmanager
def running_backstage() -> Iterator[Backstage]:
    """Run a loop in a thread until the end of the block."""
    made = Backstage()
    try:
        yield made
    finally:
        made.close()


@dataclass
class Story:
    """One session, and what its runner says."""

    space: Space
    name: str
    uid: str
    backstage: Backstage
    store: Database
    turn: int = 0
    run: int = 1
    said: int = field(default=0)

    def add(self, *events: tuple[str, Json]) -> None:
        """Append rows, in order."""
        rows = [NewEvent(type_, data, turn=self.turn) for type_, data in events]
        self.backstage.run(self.store.events.append(self.uid, self.run, rows))

    def node(self, name: str, task: str = "") -> None:
        """Have a node run."""
        about = {"node": name, "task": task or f"{name}-{self.run}-{self.turn}"}
        self.add(("node_started", about), ("node_finished", about))

    def start_node(self, name: str) -> None:
        """Have a node begin."""
        self.add(("node_started", {"node": name, "task": f"{name}-{self.run}-{self.turn}"}))

    def begin_message(self, node: str = "agent", *, model: str = "demo-model") -> str:
        """Have a model begin to speak; return the message's id."""
        self.said += 1
        id_ = f"m{self.turn}-{self.said}"
        self.add(
            ("message-start", {"message_id": id_, "role": "ai", "node": node, "model": model}),
            ("content-block-start", {"message_id": id_, "index": 0, "block": "text"}),
        )
        return id_

    def speak(self, id_: str, *texts: str, index: int = 0) -> None:
        """Add to what is being said, part by part."""
        self.add(*(("content-block-delta", {"message_id": id_, "index": index, "text": text}) for text in texts))

    def end_message(self, id_: str, **data: Any) -> None:
        """Have a message end."""
        self.add(("message-finish", {"message_id": id_, **data}))

    def say(self, text: str, node: str = "agent") -> None:
        """Say a whole message."""
        id_ = self.begin_message(node)
        self.speak(id_, text)
        self.end_message(id_)

    def call_tool(self, name: str, arguments: str, output: str | None = None, *, status: str = "success") -> None:
        """Have a model call a tool, and the tool answer unless ``output`` is None."""
        self.said += 1
        id_, call = f"m{self.turn}-{self.said}", f"call-{self.turn}-{self.said}"
        self.add(
            ("message-start", {"message_id": id_, "role": "ai", "node": "agent"}),
            ("content-block-start", {"message_id": id_, "index": 0, "block": "tool_call", "name": name, "call": call}),
            ("content-block-delta", {"message_id": id_, "index": 0, "text": arguments}),
            ("message-finish", {"message_id": id_}),
        )
        if output is not None:
            self.add(("tool-finished", {"call": call, "name": name, "status": status, "output": output}))

    def report(self, **status: Any) -> None:
        """Write the session's status."""
        self.space.report(self.name, **status)

    def ask(self, *questions: Json, **status: Any) -> None:
        """Have the graph ask: in the log, then in the status."""
        self.add(*(("waiting_for_input", {"interrupt": each["id"], "prompt": each["prompt"]}) for each in questions))
        self.report(
            phase="WaitingForInput", question=questions[0]["prompt"][:256], interrupts=list(questions), **status
        )

    def complete(self, **status: Any) -> None:
        """Have the session end with a result."""
        self.add(("completed", {"size": 2}))
        self.report(phase="Completed", **status)


def begin_story(
    space: Space, backstage: Backstage, store: Database, name: str = "s1", *, workflow: str = "report", **spec: Any
) -> Story:
    """Start a session that runs, with its row."""
    uid = str(space.start(name, workflow, **spec)["metadata"]["uid"])
    space.report(name, phase="Creating", run=1)
    space.report(name, phase="Running", startTime=wire_time(datetime.now(UTC) - timedelta(minutes=3)))
    backstage.run(record_running(store, space, uid, name, workflow=workflow))
    return Story(space, name, uid, backstage, store)
