"""What the gateway counts, in Prometheus' format.

Labels are bounded: methods, route templates, codes, kinds; never a session, a namespace or a person.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Methods that routes have; a client may send any word.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Gauges = Mapping[str, float]


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = self._counter("requests", "Answers, by the route's template.", "method", "route", "status")
        self.seconds = Histogram(
            "agentic_gateway_request_seconds",
            "How long answers took, streams left out.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refusals = self._counter("refusals", "Problems that were answered, by their kind.", "kind")
        self.frames = self._counter("frames", "Messages sent to clients of streams.", "kind")
        self.closed = self._counter("streams_closed", "Streams that ended, by the code they were closed with.", "code")

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"agentic_gateway_{name}", about, labels, registry=self.registry)

    def count_request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count an answer; ``seconds`` is None for a stream, which takes as long as its client stays."""
        method = method if method in METHODS else "other"
        self.requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self.seconds.labels(method, route).observe(seconds)

    def show(self, name: str, about: str, label: str, read: Callable[[], Gauges]) -> None:
        """Show what is read at each scrape, by one label."""
        self.registry.register(_Read(f"agentic_gateway_{name}", about, label, read))

    def render(self) -> bytes:
        """Return what a scrape gets."""
        return generate_latest(self.registry)


class _Read(Collector):
    """A gauge whose values are read at the moment of a scrape."""

    def __init__(self, name: str, about: str, label: str, read: Callable[[], Gauges]) -> None:
        self._name, self._about, self._label, self._read = name, about, label, read

    def describe(self) -> Iterable[Metric]:
        """Return the name alone: nothing is read when this is registered."""
        return [GaugeMetricFamily(self._name, self._about, labels=[self._label])]

    def collect(self) -> Iterable[Metric]:
        """Yield the values of now."""
        family = GaugeMetricFamily(self._name, self._about, labels=[self._label])
        for value, number in self._read().items():
            family.add_metric([value], number)
        yield family
