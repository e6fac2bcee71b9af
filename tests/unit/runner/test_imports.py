"""What a runner's start imports: a budget, because imports are nearly all of its start-up time."""

import json
import subprocess
import sys

import pytest

_LIST = "import sys, json; {code}; print(json.dumps(sorted(sys.modules)))"


def _modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LIST.format(code=code)], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def floor() -> set[str]:
    """What every LangGraph process on PostgreSQL imports."""
    return _modules_after(
        "from langgraph.graph import StateGraph; from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver"
    )


@pytest.fixture(scope="module")
def runner() -> set[str]:
    """What a runner has imported when it loads the author's graph."""
    return _modules_after(
        "import agentic_runner.process, agentic_runner.run;"
        "from agentic_runner.running.imports import import_langgraph; import_langgraph();"
        "import agentic_runner.running.graph"
    )


def test_no_client_or_framework_of_other_parts_is_imported(runner: set[str]) -> None:
    tops = {name.partition(".")[0] for name in runner}
    assert tops.isdisjoint({"kopf", "aiohttp", "kubernetes", "kubernetes_asyncio", "agentic_operator", "agentic_cli"})


def test_beyond_the_floor_only_the_store_and_our_own_modules_are_imported(runner: set[str], floor: set[str]) -> None:
    extra = {
        name
        for name in runner - floor
        if not name.startswith(("agentic_", "langgraph.store", "httpx", "httpcore", "psycopg", "pydantic"))
    }
    standard = {name for name in extra if name.partition(".")[0].lstrip("_") in sys.stdlib_module_names}
    assert extra - standard == set()
    assert len(extra) <= 12, sorted(extra)


def test_what_only_the_operator_needs_is_not_imported(runner: set[str]) -> None:
    assert not {"agentic_core.resources.workflow", "agentic_store.retention", "agentic_store.statistics"} & runner


def test_the_thread_imports_all_that_the_runner_needs_of_langgraph(runner: set[str]) -> None:
    """What it left out would be imported by the event loop, which has better to do."""
    alone = _modules_after(
        "import agentic_runner.run; from agentic_runner.running.imports import import_langgraph; import_langgraph()"
    )
    assert {"langgraph.graph", "langgraph.checkpoint.postgres.aio", "langgraph.store.postgres.aio"} <= alone
    assert not {name for name in runner - alone if not name.startswith("agentic_")}


def test_langgraph_waits_until_the_runner_asks_for_it() -> None:
    """Its import happens in a thread, while the API server and the database answer."""
    assert not {
        name
        for name in _modules_after("import agentic_runner.process, agentic_runner.run")
        if name.startswith("langgraph")
    }


def test_the_help_imports_next_to_nothing() -> None:
    names = _modules_after("from agentic_runner.__main__ import main; main(['--help'])")
    assert not {"asyncio", "pydantic", "psycopg", "httpx"} & names


def test_what_is_missing_is_said_before_anything_large_is_imported() -> None:
    names = _modules_after("import agentic_runner.process")
    assert not {"pydantic", "psycopg", "httpx"} & names
