"""Every kind of project, run by the real runner: killed in the middle, and continued by the next one to its end."""

import signal
from pathlib import Path

import pytest

from tests.projects.cases import CASES, GATE, Case
from tests.support.runner import RunnerBench
from tests.support.waiting import wait_for


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_project_of_each_kind_goes_on_after_its_runner_was_killed(
    case: Case, runners: RunnerBench, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    session = runners.session("", dict(case.inputs), spec=case.settings)
    session.environment = {
        "PYTHONPATH": str(GATE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "GATE": str(gate),
        "GRAPH": case.graph,
        **case.variables,
    }
    session.project = case.root
    first = session.start(1)
    wait_for(
        lambda: (gate / "reached").exists() or first.process.poll() is not None,
        bool,
        what="the middle of the graph",
        every=0.02,
    )
    assert first.process.poll() is None, first.output[-3000:]
    first.signal(signal.SIGKILL)
    first.wait()
    assert runners.checkpoints(session) >= 1
    (gate / "go").touch()
    second = session.start(1)
    assert second.wait() == 0, second.output[-3000:]
    if case.answer is not None:
        (question,) = session.status["interrupts"]
        assert question["prompt"] == 'may send({"to": "hello"}) run?'
        session.answer(run=2, **{question["node"]: case.answer})
        third = session.start(2)
        assert third.wait() == 0, third.output[-3000:]
    status = session.status
    assert status["phase"] == "Completed", status
    case.check(status["result"])
