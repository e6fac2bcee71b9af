"""A pytest plugin for LangGraph's own tests: their database, and a runner's saver in the place of the library's.

See ``hack.langgraph_tests``, which loads it.
"""

import os
import sys
from typing import Any, Final

import pytest

URI: Final = "AGENTIC_LANGGRAPH_TESTS_URI"
SAVER: Final = "AGENTIC_LANGGRAPH_TESTS_SAVER"
# Where their fixtures keep the address of the database and the class of the saver.
_MODULES: Final = ("tests.conftest_checkpointer", "tests.conftest_store", "tests.conftest", "tests.test_async")


def build_class() -> type[Any]:
    """Return a runner's saver with the constructor of the library's."""
    from agentic_runner.checkpoints.encrypted_saver import EncryptedSaver, EncryptingSerializer
    from agentic_runner.keyring import Keyring

    class RunnersSaver(EncryptedSaver):
        def __init__(self, conn: Any, pipe: None = None, serde: Any = None) -> None:  # noqa: ARG002
            super().__init__(conn, serde=serde or EncryptingSerializer(Keyring()))

    return RunnersSaver


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems() -> None:
    """Point the modules of their fixtures, which are imported by now, to our database and saver."""
    for name in _MODULES:
        module: Any = sys.modules.get(name)
        if module is None:
            continue
        for attribute in ("DEFAULT_POSTGRES_URI", "DEFAULT_URI"):
            if hasattr(module, attribute):
                setattr(module, attribute, os.environ[URI] + ("postgres" if attribute == "DEFAULT_URI" else ""))
        if os.environ[SAVER] == "runner" and hasattr(module, "AsyncPostgresSaver"):
            module.AsyncPostgresSaver = build_class()
