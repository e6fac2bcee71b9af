"""Which pods are a session's, in which order."""

from typing import Any

from agentic_core.runner_pods import choose_pods, split_timestamp


def a_pod(
    name: str, run: int | None = 1, *, at: str = "2026-05-01T10:00:00Z", uid: str = "", **status: Any
) -> dict[str, Any]:
    labels = {"agentic-operator.dev/run": str(run)} if run is not None else {}
    if uid:
        labels["agentic-operator.dev/session-uid"] = uid
    return {"metadata": {"name": name, "labels": labels, "creationTimestamp": at}, "status": status}


def names(*raws: dict[str, Any], all_runs: bool = False) -> list[str]:
    return [pod.name for pod in choose_pods(raws, "uid", all_runs=all_runs)]


def test_the_newest_run_is_shown_unless_all_are_wanted() -> None:
    pods = (a_pod("c", 10), a_pod("b", 2, at="2026-05-01T10:01:00Z"), a_pod("a", 2, at="2026-05-01T10:02:00Z"))
    assert names(*pods) == ["c"]
    assert names(*pods, all_runs=True) == ["b", "a", "c"]


def test_pods_of_a_former_session_of_the_same_name_are_left_out() -> None:
    assert names(a_pod("old", 5, uid="other"), a_pod("new", 1, uid="uid"), a_pod("unlabelled", 1)) == [
        "new",
        "unlabelled",
    ]


def test_a_pod_says_whether_it_started_and_what_it_waits_for() -> None:
    waiting = {"name": "runner", "state": {"waiting": {"reason": "ContainerCreating"}}}
    running = {"name": "runner", "state": {"running": {}}}
    found = choose_pods(
        [
            a_pod("a", phase="Pending", containerStatuses=[waiting]),
            a_pod("b", phase="Running", containerStatuses=[running]),
            a_pod("c", phase="Succeeded", containerStatuses=[{"name": "runner", "state": {"terminated": {}}}]),
            a_pod("d", None),
        ],
        "uid",
        all_runs=True,
    )
    assert [(pod.name, pod.has_started, pod.is_over, pod.waits_for) for pod in found] == [
        ("d", False, False, ""),
        ("a", False, False, "ContainerCreating"),
        ("b", True, False, ""),
        ("c", True, True, ""),
    ]


def test_the_time_before_a_line_is_taken_off() -> None:
    assert split_timestamp(b"2026-05-01T10:00:00.000000001Z hello  there") == (
        "2026-05-01T10:00:00.000000001Z",
        b"hello  there",
    )
    assert split_timestamp(b"2026-05-01T10:00:00Z") == ("2026-05-01T10:00:00Z", b"")
    assert split_timestamp(b"unable to retrieve container logs") == ("", b"unable to retrieve container logs")
