"""Processes are started detached, known by more than their id, and ended for sure."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hack.cluster.errors import ClusterError
from hack.cluster.processes import Identity, Processes, observe_identity, parse_identity, parse_stat, send
from hack.cluster.waiting import wait_until
from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("12 345 boot\n", Identity(12, 345, "boot"), id="a whole record"),
        pytest.param("", None, id="a record cut off before its first byte"),
        pytest.param("12 345", None, id="a record cut off in the middle"),
        pytest.param("x 345 boot", None, id="a record with a word for a number"),
    ],
)
def test_a_record_is_read_or_refused(text: str, expected: Identity | None) -> None:
    assert parse_identity(text) == expected


def test_the_start_time_is_found_behind_a_name_with_spaces_and_brackets() -> None:
    fields = " ".join(str(number) for number in range(4, 53))
    assert parse_stat(f"17 (a) b (c) S {fields}") == ("S", 22)


def test_a_process_with_another_start_time_is_not_signalled() -> None:
    own = observe_identity(os.getpid())
    assert own is not None
    earlier = Identity(own.pid, own.started_ticks - 1, own.boot_id)
    assert not send(earlier, signal.SIGKILL)


def test_a_process_of_an_earlier_boot_is_not_signalled() -> None:
    own = observe_identity(os.getpid())
    assert own is not None
    assert not send(Identity(own.pid, own.started_ticks, "another boot"), signal.SIGKILL)


def test_a_started_process_is_recorded_detached_and_logged(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    identity = processes.start("talker", ["sh", "-c", "echo hello; exec sleep 60"])
    try:
        assert processes.is_running("talker")
        assert os.getsid(identity.pid) != os.getsid(0)
        wait_until(lambda: "hello" in processes.tail("talker"), seconds=5, what="the first line of the log")
        assert processes.start("talker", ["false"]) == identity
    finally:
        assert processes.stop("talker")
    assert observe_identity(identity.pid) != identity
    assert processes.names() == []


def test_a_process_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("deaf", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"])
    wait_until(lambda: "ready" in processes.tail("deaf"), seconds=5, what="the trap being set")
    assert processes.stop("deaf", grace_seconds=0.2)
    assert not processes.is_running("deaf")


def test_a_dead_process_is_started_again(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    first = processes.start("short", ["sleep", "60"])
    assert send(first, signal.SIGKILL)
    wait_until(lambda: not processes.is_running("short"), seconds=5, what="the death of the first")
    second = processes.start("short", ["sleep", "60"])
    assert processes.stop("short")
    assert second != first


def test_a_program_that_is_not_there_says_so_in_its_log(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("missing", ["/no/such/program"])
    wait_until(lambda: not processes.is_running("missing"), seconds=5, what="the failed start")
    assert "/no/such/program" in processes.tail("missing")


def test_a_control_group_that_is_not_there_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hack.cluster.processes.START_SECONDS", 0.3)
    with pytest.raises(ClusterError, match="could not be started"):
        Processes(tmp_path).start("lost", ["sleep", "60"], cgroups=[tmp_path / "no" / "group"])


def test_the_processes_of_a_killed_owner_end_with_it(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    identity = processes.start("orphan", ["sleep", "60"])
    guard = subprocess.Popen(
        [sys.executable, "-m", "hack.cluster.guard", str(tmp_path)], stdin=subprocess.PIPE, cwd=ROOT
    )
    assert guard.stdin is not None
    guard.stdin.close()
    assert guard.wait(PATIENCE_SECONDS) == 0
    assert observe_identity(identity.pid) != identity
