"""A machine without Go gets one by pip, that of Go's makers or none."""

import io
import os
import subprocess
from pathlib import Path

import pytest

from hack.cluster import gotoolchain
from hack.cluster.errors import ClusterError
from hack.cluster.gotoolchain import find_go
from hack.cluster.progress import Progress
from hack.cluster.versions import GO


@pytest.fixture(autouse=True)
def without_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Go that is too old is as good as none."""
    old = tmp_path / "bin" / "go"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    monkeypatch.setenv("AGENTIC_CACHE", str(tmp_path / "cache"))


def test_it_builds_a_program_and_is_fetched_once(tmp_path: Path) -> None:
    said = io.StringIO()
    go = find_go(Progress(said))
    assert f"fetching Go {GO}" in said.getvalue()
    (tmp_path / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n')
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    done = subprocess.run(
        [go, "run", "main.go"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == "hello\n"
    said.truncate(0)
    assert find_go(Progress(said)) == go
    assert not said.getvalue()


def test_another_than_was_chosen_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gotoolchain, "GO_SUMS", ("0" * 64,))
    with pytest.raises(ClusterError, match=f"Go {GO} cannot be fetched.*DO NOT MATCH THE HASHES"):
        find_go(Progress(io.StringIO()))
    assert not list((tmp_path / "cache" / "bin").glob("go-*"))
