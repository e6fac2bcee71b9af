"""The trace of a request goes with the session that it makes: to its annotation, its runs and the access log."""

from collections.abc import Callable

import pytest

from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.trust.roles import Client

ANNOTATION = "agentic-operator.dev/traceparent"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINE = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER = "00-00000000000000000000000000000001-0000000000000001-01"


@pytest.fixture
def alice(somebody: Callable[..., Client]) -> Client:
    return somebody("alice", "agentic-view", "agentic-edit")


def begin(gateway: Gateway, space: Space, client: Client, name: str, trace: str, **metadata: object) -> dict[str, str]:
    """Ask for a session as part of a trace; return the session's annotations."""
    body = {"metadata": {"name": name, **metadata}, "spec": {"workflowRef": {"name": "report"}, "inputs": {}}}
    path = f"/api/v1/agentic-sessions/{space.name}"
    made = gateway.call("POST", path, body, token=client.token, headers={"traceparent": trace})
    assert made.code == 201, made.body
    return dict(space.session(name)["metadata"].get("annotations") or {})


def read_trace_of_run(space: Space, name: str) -> str:
    (pod,) = [space.wait_job(f"{name}-r1")["spec"]["template"]["spec"]]
    (container,) = [each for each in pod["containers"] if each["name"] == "runner"]
    return str({each["name"]: each.get("value") for each in container["env"]}["TRACEPARENT"] or "")


def test_a_request_s_trace_goes_to_the_session_its_runs_and_the_access_log(
    gateway: Gateway, space: Space, alice: Client
) -> None:
    space.define()
    assert begin(gateway, space, alice, "s1", LINE)[ANNOTATION] == LINE
    # Whoever names another one in the object means that one.
    assert begin(gateway, space, alice, "s2", LINE, annotations={ANNOTATION: OTHER})[ANNOTATION] == OTHER
    space.operator()
    assert read_trace_of_run(space, "s1") == LINE
    assert read_trace_of_run(space, "s2") == OTHER
    assert f"trace_id={TRACE}" in gateway.log


def test_what_is_no_trace_is_passed_over_wherever_it_stands(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    for number, line in enumerate(("no trace", f"00-{TRACE}", LINE.upper(), f"{LINE}-$(POSTGRES)")):
        assert ANNOTATION not in begin(gateway, space, alice, f"s{number}", line)
    begin(gateway, space, alice, "forged", "", annotations={ANNOTATION: f"{LINE}\nx: $(HOME)"})
    space.operator()
    assert read_trace_of_run(space, "forged") == ""
    assert "trace_id=no" not in gateway.log
