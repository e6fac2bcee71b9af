"""What the admission policies cost: the API server's latency of the writes that they judge, beside none, in one run.

The lists are full: 256 questions, answers and responses with ids of 128 characters. With the policies and without them
take turns, so that whatever else the machine does meets both. One write at a time, over one connection each.

    python -m bench.policies [--count 60]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hack.cluster.controlplane import ControlPlane
from hack.kubectl import ROOT, Kubectl
from tests.support.builders import session_body
from tests.support.kube import GROUP_PATH, Json, Space, install
from tests.support.waiting import wait_for
from tests.trust.roles import JSON_PATCH, Answer, Client, a_pod_of, a_user
from tests.trust.test_runner_status import RUNNING, make_pod

ADMISSION = ROOT / "manifests/operator/admission.yaml"
FULL = 256
AT = "2026-03-01T12:00:00Z"
ROUNDS = 3


def id_of(number: int) -> str:
    return f"{number:03}{'i' * 125}"


def fill(space: Space, ann: Client) -> None:
    """Make the session ``full``, with as much of everything as fits, and its pod."""
    responses = [{"interruptId": id_of(n), "by": ann.name, "value": {"ok": True, "n": n}} for n in range(FULL)]
    space.start("full", responses=[])
    path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/full"
    given = ann.request("PATCH", path, {"spec": {"responses": responses}})
    if not given.is_done:
        raise SystemExit(given.message)
    answered = {"answeredAt": AT, "answeredBy": ann.name, "answer": {"ok": True}}
    asked = [{"id": id_of(n), "prompt": "ok?", "value": {"text": "x" * 200}, "askedAt": AT} for n in range(FULL)]
    answers = [{"interruptId": id_of(n), "by": ann.name, "value": {"ok": True}, "at": AT} for n in range(FULL)]
    space.report("full", phase="Creating", run=1, jobName="full-r1")
    status = {**RUNNING, "phase": "Running", "run": 1, "jobName": "full-r1", "answers": answers}
    space.report("full", **{**status, "interrupts": [{**each, **answered} for each in asked]})
    make_pod(space, "full-r1-abcde")


def switch(plane: ControlPlane, probe: Callable[[], bool], *, is_on: bool) -> None:
    """Bind the policies, or unbind them, and wait until the API server goes by that."""
    kubectl = Kubectl(plane.kubeconfig)
    if is_on:
        kubectl.run("apply", "--server-side", "-f", str(ADMISSION))
    else:
        kubectl.run("delete", "validatingadmissionpolicybinding", "--all")
    wait_for(probe, lambda refused: refused is is_on, what=f"policies {'on' if is_on else 'off'}", every=0.2)


def measure(write: Callable[[int], Answer], first: int, count: int) -> list[float]:
    """Return the seconds of each write."""
    times = []
    for number in range(first, first + count):
        began = time.perf_counter()
        answer = write(number)
        times.append(time.perf_counter() - began)
        if not answer.is_done:
            raise SystemExit(answer.message)
    return times


def run(count: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return the seconds of each kind of write, with the policies and without."""
    with tempfile.TemporaryDirectory() as folder, ControlPlane(Path(folder) / "plane") as plane:
        install(plane)
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
        space = Space(plane, "bench", Path(folder))
        ann = a_user(plane, "bench", "agentic-edit", "agentic-view", name="ann")
        fill(space, ann)
        pod = a_pod_of(plane, "bench", "full-r1-abcde")
        at = f"{GROUP_PATH}/namespaces/bench/agenticsessions"
        asked = space.status("full")["interrupts"]
        responses = space.session("full")["spec"]["responses"]

        def progress(number: int) -> Answer:
            return pod.request("PATCH", f"{at}/full/status", {"status": {"steps": number}})

        def take(number: int) -> Answer:
            taken: list[Json] = [{**each, "resumedAt": f"2026-03-01T12:00:{number % 60:02}Z"} for each in asked]
            patch = [{"op": "add", "path": "/status/interrupts", "value": taken}]
            return pod.request("PATCH", f"{at}/full/status", patch, kind=JSON_PATCH)

        def answer(number: int) -> Answer:
            changed = [{**each, "value": {"n": number}} for each in responses]
            return ann.request("PATCH", f"{at}/full", {"spec": {"responses": changed}})

        def create(number: int) -> Answer:
            return ann.request(
                "POST", at, session_body(f"s-{number}", namespace="bench", createdBy="ann", inputs={"a": 1})
            )

        def is_refused() -> bool:
            forged = {"status": {"run": 2}}
            answer = pod.request("PATCH", f"{at}/full/status?dryRun=All", forged)
            named = session_body("x", namespace="bench", createdBy="bob")
            return not answer.is_done and not ann.request("POST", f"{at}?dryRun=All", named).is_done

        kinds = {
            "runner: one number, full lists": progress,
            "runner: 256 questions changed": take,
            "person: 256 answers changed": answer,
            "person: a session made": create,
        }
        times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in kinds}
        numbers = 0
        for turn in range(2 * ROUNDS):
            switch(plane, is_refused, is_on=turn % 2 == 0)
            for name, write in kinds.items():
                measure(write, numbers, 3)
                times[name][turn % 2].extend(measure(write, numbers + 3, count // ROUNDS))
                numbers += 3 + count // ROUNDS
        return times


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="writes of each kind, with and without")
    count = parser.parse_args().count
    print(f"{f'of {count}, in ms':34} {'with p50':>9} {'p99':>7} {'none p50':>9} {'p99':>7}  cost p50")
    for name, (on, off) in run(count).items():
        found = [
            1000 * statistics.quantiles(values, n=100, method="inclusive")[share - 1]
            for values in (on, off)
            for share in (50, 99)
        ]
        print(f"{name:34} {found[0]:9.1f} {found[1]:7.1f} {found[2]:9.1f} {found[3]:7.1f}  {found[0] - found[2]:+8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
