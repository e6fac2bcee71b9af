"""The span of a run, under which everything that the run does is found; sent where a variable says to where."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agentic_core.contract import ExitCode
from agentic_core.trace_context import derive_trace_id, parse_traceparent
from agentic_core.tracing import ENDPOINT, TRACES_ENDPOINT, open_tracer
from agentic_runner.config import RunConfig

if TYPE_CHECKING:
    from agentic_core.spans import Tracer

# What the spans of a run that has ended may still take of its time.
FLUSH_SECONDS: Final = 2.0
# And of one that is drained: what kubelet leaves it is for what is reported.
DRAINED_SECONDS: Final = 0.5
_NO_FAILURE: Final = frozenset({ExitCode.DONE, ExitCode.SUPERSEDED, ExitCode.DRAINED})


class RunTrace:
    """One run's part of its session's trace."""

    def __init__(self, tracer: "Tracer", config: RunConfig) -> None:
        self._tracer = tracer
        parent = parse_traceparent(config.traceparent)
        self._span = tracer.begin(
            f"invoke_workflow {config.graph or ''}".strip(),
            parent=parent,
            trace_id="" if parent is not None else derive_trace_id(config.session_uid),
            attributes={
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": config.graph,
                "gen_ai.conversation.id": config.thread_id,
                "k8s.namespace.name": config.namespace,
                "k8s.job.name": config.job_name,
                "agentic.session.name": config.session_name,
                "agentic.session.uid": config.session_uid,
                "agentic.run": config.run,
            },
        )
        self._callbacks: Any = None

    @property
    def trace_id(self) -> str:
        return self._span.context.trace_id

    @property
    def traceparent(self) -> str:
        """The line by which an author's own instrumentation becomes part of the run."""
        return self._span.context.traceparent

    def build_callbacks(self) -> list[Any]:
        """Return what LangGraph is run with so that its nodes, models and tools have spans; imports LangChain."""
        if not self._span.context.is_sampled:
            return []
        if self._callbacks is None:
            from agentic_runner.tracing.callbacks import SpanCallbacks

            self._callbacks = SpanCallbacks(self._tracer, self._span)
        return [self._callbacks]

    def finish(self, code: int) -> None:
        """End the run's span and what is open below it, and send what is left for a short time."""
        if self._callbacks is not None:
            self._callbacks.close()
        found = ExitCode(code)
        self._tracer.describe(self._span, {"process.exit.code": code})
        self._tracer.end(self._span, error="" if found in _NO_FAILURE else found.name.lower())
        self._tracer.close(DRAINED_SECONDS if found is ExitCode.DRAINED else FLUSH_SECONDS)


def begin_run_trace(environ: Mapping[str, str], config: RunConfig, *, redact: Callable[[str], str]) -> RunTrace | None:
    """Begin the span of a run, where spans are sent, and name it in the process's variables; None where none are.

    The operator's address is taken where no standard variable of the definition or the image has one, since those also
    speak to an author's own instrumentation.
    """
    own = environ.get(TRACES_ENDPOINT, "").strip() or environ.get(ENDPOINT, "").strip()
    if not own and not config.traces_endpoint:
        return None
    variables = environ if own else {**environ, ENDPOINT: config.traces_endpoint}
    tracer = open_tracer(variables, "agentic-runner", redact=redact)
    if tracer is None:
        return None
    trace = RunTrace(tracer, config)
    os.environ["TRACEPARENT"] = trace.traceparent
    return trace
