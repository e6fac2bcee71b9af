"""The operator's spans: each is the making of one run, between the request's span and the run's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentic_core.names import RUN_LABEL
from agentic_core.resources import AgenticSession
from agentic_core.trace_context import Sampler
from agentic_operator.manifests.jobs import find_start
from agentic_operator.manifests.pods import Manifest

if TYPE_CHECKING:
    from agentic_core.spans import Tracer


class StartSpans:
    """Makes the span of a run's start while its Job is made."""

    def __init__(self, tracer: "Tracer", sampler: Sampler) -> None:
        self._tracer = tracer
        self._sampler = sampler

    @contextmanager
    def making(self, session: AgenticSession, job: Manifest) -> Iterator[None]:
        """Have the block be a span, with the ids that the Job names as its run's parent.

        A try that fails is none: the next one has the same ids.
        """
        run = int(job["metadata"]["labels"][RUN_LABEL])
        context, parent = find_start(session, run, self._sampler)
        span = self._tracer.begin(
            "start run",
            parent=parent,
            trace_id=context.trace_id,
            span_id=context.span_id,
            attributes={
                "k8s.namespace.name": session.namespace,
                "k8s.job.name": job["metadata"]["name"],
                "agentic.session.name": session.name,
                "agentic.session.uid": session.metadata.uid,
                "agentic.workflow.name": session.spec.workflow_ref.name,
                "agentic.run": run,
            },
        )
        yield
        self._tracer.end(span)

    def close(self, seconds: float) -> None:
        """Send what is left, for so long at most."""
        self._tracer.close(seconds)
