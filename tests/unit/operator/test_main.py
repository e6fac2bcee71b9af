"""The end of the process, from the first moment on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

SCRIPT = """
import asyncio, contextlib, os, signal, sys
from agentic_operator import main


class Election:
    async def acquire(self):
        pass

    async def release(self):
        print("released", flush=True)


@contextlib.asynccontextmanager
async def nothing(*_):
    yield None


async def unchanged(settings, _):
    return settings


async def lead(*_):
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    await asyncio.sleep(60)


main.Election = lambda *_, **__: Election()
main.open_kube = main.serve_health = main._open_rows = nothing
main.complete_vault, main._lead, main.find_connection = unchanged, lead, lambda *_: None
sys.exit(main.main([]))
"""


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_a_signal_before_anything_is_watched_gives_the_lease_back(signal: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, signal],
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "released\n"), done.stderr
