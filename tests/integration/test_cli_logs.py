"""Logs through a real API server, from a kubelet's log endpoint that the test serves and breaks."""

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.support.kube import Space
from tests.support.log_kubelet import Kubelet, a_pod, begin
from tests.support.person import Person


@pytest.fixture
def person(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(f"admin-of-{space.name}", groups=["system:masters"], namespace=space.name)
    )


def test_the_newest_run_is_printed_and_the_others_where_wanted(space: Space, person: Person, kubelet: Kubelet) -> None:
    space.start("s")
    for run in (1, 2):
        pod = a_pod(space, run)
        space.end_pod(pod, 0)
        kubelet.write(pod, f"run {run}, line 1")
        kubelet.write(pod, f"run {run}, line 2 \u2028 \x85 ü")
    assert person.out("logs", "s") == "run 2, line 1\nrun 2, line 2 \u2028 \x85 ü\n"
    done = person.run("logs", "s", "--previous-runs", "--tail", "1", "--timestamps")
    assert done.stdout == "".join(f"2026-05-01T10:00:01.000000000Z run {run}, line 2 \u2028 \x85 ü\n" for run in (1, 2))
    assert done.stderr == "==> run 1, pod s-r1-abcde <==\n==> run 2, pod s-r2-abcde <==\n"
    person.out("logs", "s", "--since", "5m")
    assert kubelet.asked[-1][1]["sinceTime" if "sinceTime" in kubelet.asked[-1][1] else "sinceSeconds"]


def test_no_pods_is_said_with_the_phase(space: Space, person: Person) -> None:
    space.start("s")
    done = person.run("logs", "s")
    assert (done.returncode, done.stderr) == (1, "error: session 's' has no pods now: it is Pending\n")
    space.report("s", phase="Completed", run=1)
    assert (
        "a finished run's pods are deleted after some minutes, a waiting session's at once"
        in person.run("logs", "s").stderr
    )


def test_a_pod_that_has_not_started_says_why(space: Space, person: Person) -> None:
    space.start("s")
    space.set_pod(
        a_pod(space, 1), "Pending", state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    )
    done = person.run("logs", "s")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "s-r1-abcde has not started yet ImagePullBackOff no such image\n"


def test_following_goes_from_run_to_run_to_the_end(space: Space, person: Person, kubelet: Kubelet) -> None:
    space.start("s")
    with person.start("logs", "-f", "s") as following:
        first = a_pod(space, 1)
        kubelet.write(first, "one")
        begin(space, first)
        following.expect("one\n")
        kubelet.write(first, "two")
        following.expect("two\n")
        kubelet.end(first)
        space.end_pod(first, 143)
        space.report("s", phase="WaitingForInput", run=1)
        second = a_pod(space, 2)
        kubelet.write(second, "three")
        begin(space, second)
        following.expect("three\n")
        kubelet.end(second)
        space.end_pod(second, 0)
        space.report("s", phase="Running")
        space.report("s", phase="Completed")
        assert following.end() == 0
    assert following.out == "one\ntwo\nthree\n"
    assert following.err == "==> run 1, pod s-r1-abcde <==\n==> run 2, pod s-r2-abcde <==\n"


def test_a_stream_that_breaks_goes_on_where_it_was(space: Space, person: Person, kubelet: Kubelet) -> None:
    space.start("s")
    pod = a_pod(space, 1)
    for number in range(4):
        # All within one second: what comes again must not be printed again.
        kubelet.write(pod, f"line {number}", at=f"2026-05-01T10:00:00.00000000{number}Z")
    kubelet.breaks_after = 2
    begin(space, pod)
    with person.start("logs", "-f", "s") as following:
        following.expect("line 3\n")
        kubelet.end(pod)
        space.end_pod(pod, 0)
        space.report("s", phase="Completed")
        assert following.end() == 0
    assert following.out == "".join(f"line {number}\n" for number in range(4))
    assert len(kubelet.asked) >= 2


def test_following_survives_a_restart_of_the_api_server(
    space: Space, person: Person, kubelet: Kubelet, control_plane: ControlPlane
) -> None:
    space.start("s")
    pod = a_pod(space, 1)
    kubelet.write(pod, "before")
    begin(space, pod)
    with person.start("logs", "-f", "s") as following:
        following.expect("before\n")
        control_plane.restart_apiserver()
        kubelet.write(pod, "after")
        following.expect("after\n")
        kubelet.end(pod)
        space.end_pod(pod, 0)
        space.report("s", phase="Completed")
        assert following.end() == 0
    assert following.out == "before\nafter\n"
