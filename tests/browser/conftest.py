"""The console in a real browser, before a real gateway, API server and database."""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from agentic_store.database import Database
from hack.cluster.controlplane import ControlPlane
from hack.console import CONSOLE, build, install_modules
from tests.browser.stories import Backstage, running_backstage
from tests.gateway.conftest import events as events
from tests.gateway.conftest import somebody as somebody
from tests.support.browser import Visitor, open_visitor, running_chromium
from tests.support.gateway import Gateway, running_gateway
from tests.support.link import Link
from tests.support.postgres import PostgresDatabase
from tests.trust.roles import Client

# What takes long, and measures: `make full PART=browser`.
collect_ignore = [] if os.environ.get("BROWSER_LONG") == "1" else ["test_scale.py"]


@pytest.fixture(scope="session")
def dist() -> Path:
    """The built console: once for all processes of a run."""
    with (CONSOLE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_modules()
        return build()


@pytest.fixture(scope="session")
def gateway(
    control_plane: ControlPlane, events: PostgresDatabase, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that serves the console."""
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(control_plane, events, folder, CONSOLE_DIR=str(dist)) as made:
        yield made


@pytest.fixture(scope="module")
def chromium(gateway: Gateway) -> Iterator[Browser]:
    """A browser for the tests of a file.

    While it is open its event loop counts as this thread's: ``asyncio.run`` needs another thread then. So the servers
    are started before it, and it is closed before another file's tests.
    """
    del gateway
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def open_window(chromium: Browser, gateway: Gateway) -> Iterator[Callable[..., Visitor]]:
    """Opens windows; at the end no page may have thrown, broken its policy, or fetched anything from elsewhere."""
    opened: list[Visitor] = []

    def open_one(address: str = "", **options: Any) -> Visitor:
        visitor = open_visitor(chromium, address or gateway.address, **options)
        opened.append(visitor)
        return visitor

    yield open_one
    faults = [fault for visitor in opened for fault in visitor.faults]
    for visitor in opened:
        visitor.context.close()
    assert faults == []


@pytest.fixture
def visitor(open_window: Callable[..., Visitor]) -> Visitor:
    """One window, with nobody signed in."""
    return open_window()


@pytest.fixture
def alice(somebody: Callable[..., Client]) -> Client:
    """Somebody who may look and act in the test's namespace."""
    return somebody("alice", "agentic-view", "agentic-edit")


@pytest.fixture(scope="module")
def backstage(gateway: Gateway) -> Iterator[Backstage]:
    """A loop beside the browser's, for a file's stories and links."""
    del gateway
    with running_backstage() as made:
        yield made


@pytest.fixture(scope="module")
def store(backstage: Backstage, events: PostgresDatabase) -> Database:
    """The store that stories are written into."""
    return backstage.open_store(events)


@pytest.fixture
def link(backstage: Backstage, gateway: Gateway) -> Link:
    """A way to the gateway that a test cuts."""
    return backstage.open_link(gateway.address)
