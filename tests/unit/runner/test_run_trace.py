"""The span of a run: when there is one, how it ends, and how long it may hold up the end of a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentic_core.contract import ExitCode
from agentic_core.spans import Span, Tracer
from agentic_core.trace_context import Sampler, derive_trace_id
from agentic_runner.config import RunConfig, TokenSource
from agentic_runner.tracing.run_trace import DRAINED_SECONDS, FLUSH_SECONDS, RunTrace, begin_run_trace

CONFIG = RunConfig(
    session_name="s",
    session_uid="uid",
    namespace="team",
    run=1,
    thread_id="t",
    job_name="s-r1",
    backend_url="https://api",
    token=TokenSource(file=Path("token")),
    api_ca_file=None,
)


class Held:
    """Takes spans, and notes how long it may take for the last ones."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.seconds: list[float] = []

    def add(self, span: Span) -> None:
        self.spans.append(span)

    def close(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.parametrize(
    ("code", "error", "seconds"),
    [
        (ExitCode.DONE, None, FLUSH_SECONDS),
        (ExitCode.GRAPH_FAILED, "graph_failed", FLUSH_SECONDS),
        (ExitCode.SUPERSEDED, None, FLUSH_SECONDS),
        (ExitCode.DRAINED, None, DRAINED_SECONDS),
    ],
)
def test_a_run_s_span_ends_as_the_run_did_and_its_flush_is_bounded(
    code: ExitCode, error: str | None, seconds: float
) -> None:
    held = Held()
    trace = RunTrace(Tracer(held, Sampler()), CONFIG)
    trace.finish(int(code))
    (span,) = held.spans
    assert (span.attributes.get("error.type"), span.attributes["process.exit.code"]) == (error, int(code))
    assert (trace.trace_id, held.seconds) == (derive_trace_id("uid"), [seconds])


def test_without_an_endpoint_there_is_no_trace_and_the_variable_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", "as it was")
    assert begin_run_trace({}, CONFIG, redact=str) is None
    assert os.environ["TRACEPARENT"] == "as it was"


@pytest.mark.parametrize(
    "program", ["agentic_runner.process, agentic_runner.run", "agentic_gateway.main", "agentic_operator.main"]
)
def test_no_program_imports_what_sends_spans_before_it_is_told_where_to(program: str) -> None:
    named = ("agentic_core.spans", "agentic_core.span_exporter", "agentic_runner.tracing.callbacks")
    code = f"import sys, {program}; print([name for name in {named!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
