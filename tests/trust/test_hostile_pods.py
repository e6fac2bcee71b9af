"""What the code in a pod tries against those who wait, stop and look on, with nothing but its token."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.kube import GROUP_PATH, Json, Space
from tests.support.waiting import wait_for
from tests.trust.roles import JSON_PATCH, Answer, Client, a_pod_of, a_user

AT = "2026-03-01T12:00:00Z"


def write(pod: Client, space: Space, name: str = "s", **status: Any) -> Answer:
    path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/{name}/status"
    patch = [{"op": "add", "path": f"/status/{field}", "value": value} for field, value in status.items()]
    return pod.request("PATCH", path, patch, kind=JSON_PATCH)


def wait_for_pod(space: Space, name: str = "s") -> Client:
    """Return the code in the pod of a session's first run."""
    pod = space.wait_pod(f"{name}-r1")
    space.wait_status(name, "Creating")
    return a_pod_of(space.plane, space.name, pod)


@contextmanager
def storm(pod: Client, space: Space, writers: int = 4) -> Iterator[list[int]]:
    """Let the code in a pod write its status as fast as it can, until it may not any more."""
    over, counts = threading.Event(), [0] * writers

    def go(number: int) -> None:
        while not over.is_set():
            answer = write(pod, space, currentNode=f"node-{number}-{counts[number]}", steps=counts[number])
            if answer.code == 401:
                return
            counts[number] += answer.is_done

    threads = [threading.Thread(target=go, args=(number,), daemon=True) for number in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("wish", ["stop", "suspend"])
def test_a_pod_that_writes_without_a_pause_is_stopped_all_the_same(space: Space, wish: str) -> None:
    space.define()
    space.operator()
    space.start("s")
    pod = wait_for_pod(space)
    assert write(pod, space, phase="Running").is_done
    with storm(pod, space):
        person = a_user(space.plane, space.name, "agentic-edit", "agentic-view")
        path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/s"
        assert person.request("PATCH", path, {"spec": {wish: True}}).is_done
        space.wait_status("s", "Stopped" if wish == "stop" else "Suspended")


@pytest.mark.parametrize(("character", "part"), [("<", "value"), ("\x01", "schema"), ("\u20ac", "prompts")])
def test_a_pod_leaves_room_for_what_others_write(space: Space, character: str, part: str) -> None:
    """etcd takes 1.5 MiB an object: one that is full could be stopped, answered and deleted by nobody."""
    space.define()
    space.operator()
    # Those who started it left no more room than they have to.
    inputs = {"text": "i" * 250_000}
    space.start("s", inputs=inputs, displayName="d")
    pod = wait_for_pod(space)
    assert write(pod, space, phase="Running").is_done
    low, high = 0, 400_000
    refusals = set()
    while high - low > 512:
        size = (low + high) // 2
        filled: Json = {"result": character * size}
        if part in ("value", "schema"):
            value = {"description": character * size} if part == "schema" else character * size
            filled = {"interrupts": [{"id": f"q{size}", "askedAt": AT, part: value}]}
        elif part == "prompts":
            count = size // 4000 + 1
            filled = {
                "interrupts": [
                    {"id": f"{size}/{n}", "prompt": character * min(4000, size)} for n in range(min(count, 256))
                ]
            }
        answer = write(pod, space, **filled)
        low, high = (size, high) if answer.is_done else (low, size)
        if not answer.is_done:
            refusals.add("may take" in answer.message)
    assert refusals == {True}
    person = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="ann")
    path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/s"
    answers = [{"interruptId": f"r{n}", "by": "ann", "value": "v" * 30_000} for n in range(5)]
    assert person.request("PATCH", path, {"spec": {"responses": answers}}).is_done
    assert person.request("PATCH", path, {"spec": {"stop": True}}).is_done
    space.wait_status("s", "Stopped")
    assert person.request("DELETE", path).is_done
    space.wait_gone("s")


def test_a_pod_that_says_it_is_queued_holds_up_nobody(space: Space) -> None:
    """For a definition of the cluster those behind it are sessions of other namespaces, too."""
    space.define(maxActiveSessions=1)
    space.operator()
    space.start("first")
    pod = wait_for_pod(space, "first")
    space.start("second")
    space.wait_status("second", "Pending", "Queued")
    assert write(pod, space, "first", phase="Running").is_done
    question = {"id": "q", "prompt": "?", "askedAt": AT}
    waiting = {"phase": "WaitingForInput", "reason": "Queued", "interrupts": [question]}
    assert write(pod, space, "first", **waiting).is_done
    space.wait_status("second", "Creating")


def test_a_pod_does_not_choose_that_its_session_is_deleted_at_once(space: Space) -> None:
    """With its result, its answers and the trail of who gave them: time to live counts from an end that can be true."""
    space.define()
    space.operator()
    space.start("s", ttlSecondsAfterFinished=3600)
    pod = wait_for_pod(space)
    assert write(pod, space, phase="Running").is_done
    assert write(pod, space, phase="Completed", completionTime="2001-01-01T00:00:00Z").is_done
    wait_for(
        lambda: space.status("s"),
        lambda status: status["completionTime"] > space.session("s")["metadata"]["creationTimestamp"][:10],
        what="an end that can be true",
        every=0.05,
    )
