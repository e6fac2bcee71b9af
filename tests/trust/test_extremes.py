"""A status at its extremes, as an earlier version let one in: people are heard, and the rounds go on for all others."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import pytest

from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from hack.cluster.errors import ClusterError
from hack.kubectl import ROOT, Kubectl
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS, wait_for

Json = dict[str, Any]

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agenticsessions.agentic-operator.dev"
BOUNDS = ("minimum", "maximum", "maxLength", "maxItems", "pattern", "format")
HUGE = 9223372036854775807
END = "9999-12-31T23:59:59Z"

EXTREMES: dict[str, Json] = {
    "a run that no column holds": {"phase": "Running", "run": HUGE, "jobName": f"s-r{HUGE}"},
    "a question asked at the end of time": {
        "phase": "WaitingForInput",
        "interrupts": [{"id": "q", "value": "?", "askedAt": END}],
    },
    "a question of no time": {
        "phase": "WaitingForInput",
        "interrupts": [{"id": "q", "value": "?", "askedAt": "never"}],
    },
    "times of every kind": {
        "phase": "Running",
        "startTime": "0000-01-01T00:00:00Z",
        "conditions": [
            {"type": "Running", "status": "True", "reason": "X", "lastTransitionTime": "9999-12-31T23:59:59-23:59"}
        ],
        "history": [{"id": "c", "at": END, "step": HUGE}],
    },
    "somebody else's names": {
        "phase": "Running",
        "threadId": "project-other:session-other",
        "jobName": "other-r1",
        "steps": -HUGE,
        "restarts": HUGE,
    },
}


def without_bounds(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: without_bounds(value) for key, value in schema.items() if key not in BOUNDS or isinstance(value, dict)
        }
    return [without_bounds(each) for each in schema] if isinstance(schema, list) else schema


@contextmanager
def an_earlier_resource(plane: ControlPlane) -> Iterator[None]:
    """Take the bounds of a session's status away, and put them back."""
    crd = plane.request("GET", CRD)
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    properties["status"] = {**without_bounds(properties["status"]), "x-kubernetes-validations": []}
    plane.request("PUT", CRD, crd)
    try:
        yield
    finally:
        Kubectl(plane.kubeconfig).run("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))


def write_until_taken(space: Space, name: str, status: Json) -> None:
    """Write a status once the API server goes by the other schema."""

    def taken() -> bool:
        try:
            space.report(name, **status)
        except ClusterError as error:
            if ": 422 " not in str(error):
                raise
            return False
        return True

    wait_for(taken, bool, what="the schema without bounds", every=0.2)


@pytest.fixture
def neighbour(control_plane: ControlPlane, space: Space) -> Space:
    name = f"{space.name}-neighbour"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    return Space(control_plane, name, space.folder)


def test_people_are_heard_and_the_rounds_go_on_for_all_others(
    space: Space, neighbour: Space, database: PostgresDatabase
) -> None:
    dsn, port = space.folder / "dsn", find_free_ports(1)[0]
    dsn.write_text(database.dsn)
    for each in (space, neighbour):
        each.define()
    operator = space.operator(
        is_started=False,
        WATCH_NAMESPACES=f"{space.name},{neighbour.name}",
        POSTGRES_CONNECTION_STRING_FILE=str(dsn),
        LIVENESS_PORT=str(port),
        TENANCY="off",
    )
    operator.start()
    deadline = {"seconds": 31_536_000, "onExpiry": "Fail"}
    names = [f"x{number}" for number in range(len(EXTREMES))]
    for name in names:
        space.start(name, inputDeadline=deadline)
    neighbour.start("healthy")
    for owner, name in [*zip(itertools.repeat(space), names, strict=False), (neighbour, "healthy")]:
        owner.wait_run(name, 1)
    operator.kill()

    with an_earlier_resource(space.plane):
        for name, status in zip(names, EXTREMES.values(), strict=True):
            write_until_taken(space, name, {**status, "phase": "Running"})
            space.report(name, **status)
    database.execute("DELETE FROM workflow_sessions")
    operator.start()

    # The sweep writes the rows that are missing: those of others, whatever one of them holds.
    def rows() -> set[str]:
        return {row[0] for row in database.execute("SELECT session_name FROM workflow_sessions")}

    wait_for(rows, lambda known: "healthy" in known, what="the neighbour's row")
    neighbour.start("later")
    neighbour.wait_run("later", 1)
    for name in names:
        space.change(name, stop=True)
    for name in names:
        space.wait_status(name, "Stopped")
    for name in names:
        space.delete(name)
    for name in names:
        space.wait_gone(name)
    threads = {row[0] for row in database.execute("SELECT thread_id FROM workflow_sessions")}
    assert threads == {f"project-{neighbour.name}:session-{name}" for name in ("healthy", "later")}
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
        text = answer.read().decode()
    assert 'agentic_faults_total{loop="reading"}' in text
    assert "ignored invalid status fields" in operator.log
    assert "unexpected error" not in operator.log
    assert "Traceback" not in operator.log
