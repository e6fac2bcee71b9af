"""Whether spans are sent, where to and which: OpenTelemetry's standard variables, read.

Imports next to nothing: without an endpoint there is no tracer, and what makes and sends spans is never imported.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from agentic_core.trace_context import Sampler

if TYPE_CHECKING:
    from agentic_core.spans import Tracer

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
# Written as text is: a header's token is a credential.
HEADERS: Final = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")

_SAMPLER_RATIOS: Final = {"always_on": 1.0, "always_off": 0.0}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TraceSettings:
    """Where spans go."""

    endpoint: str
    resource: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sampler: Sampler = field(default_factory=Sampler)
    timeout_seconds: float = 10.0
    """Of one request to the collector."""
    delay_seconds: float = 5.0
    """How long a span waits for others before it is sent."""
    ca_file: str | None = None


def find_endpoint(environ: Mapping[str, str]) -> str:
    """Return the address that spans are sent to; empty where none are."""
    exporters = [name.strip() for name in _read(environ, "OTEL_TRACES_EXPORTER", "otlp").split(",")]
    if _read(environ, "OTEL_SDK_DISABLED").lower() == "true" or "otlp" not in exporters:
        return ""
    if exact := _read(environ, TRACES_ENDPOINT):
        return exact
    base = _read(environ, ENDPOINT)
    return f"{base.rstrip('/')}/v1/traces" if base else ""


def read_settings(environ: Mapping[str, str], service: str) -> TraceSettings | None:
    """Return where spans go; None where none are sent. ``service`` is this program's name where no variable has one."""
    endpoint = find_endpoint(environ)
    if not endpoint:
        return None
    attributes = _read_pairs(_read(environ, "OTEL_RESOURCE_ATTRIBUTES"))
    named = _read(environ, "OTEL_SERVICE_NAME") or attributes.get("service.name") or service
    return TraceSettings(
        endpoint,
        {**attributes, "service.name": named},
        {name.lower(): value for variable in HEADERS for name, value in _read_pairs(_read(environ, variable)).items()},
        read_sampler(environ),
        _read_timeout(environ),
        _read_seconds(environ, "OTEL_BSP_SCHEDULE_DELAY", default=5.0),
        _read(environ, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE")
        or _read(environ, "OTEL_EXPORTER_OTLP_CERTIFICATE")
        or None,
    )


def list_header_values(environ: Mapping[str, str]) -> list[str]:
    """Return the values of the headers that the variables name: credentials, that nobody may print.

    Each as it is sent and as the variable has it, percent-encoded, and what follows its scheme.
    """
    found = []
    for variable in HEADERS:
        text = _read(environ, variable)
        written = [value for entry in text.split(",") if (value := entry.partition("=")[2].strip())]
        for value in (*_read_pairs(text).values(), *written):
            found += [value, value.rpartition(" ")[2], value.rpartition("%20")[2]]
    return found


def read_sampler(environ: Mapping[str, str]) -> Sampler:
    """Return the sampler that the variables name; without one, all is sent but what a parent says no to."""
    name = _read(environ, "OTEL_TRACES_SAMPLER", "parentbased_always_on").lower()
    kind = name.removeprefix("parentbased_")
    ratio = _SAMPLER_RATIOS.get(kind)
    if kind == "traceidratio":
        ratio = _read_number(_read(environ, "OTEL_TRACES_SAMPLER_ARG"), 1.0)
    return Sampler() if ratio is None or ratio > 1 else Sampler(name != kind, ratio)


def open_tracer(
    environ: Mapping[str, str], service: str, *, redact: Callable[[str], str] = lambda text: text
) -> "Tracer | None":
    """Return what makes and sends spans, each text of which passes ``redact``; None where none are sent."""
    settings = read_settings(environ, service)
    if settings is None:
        return None
    from agentic_core.span_exporter import SpanExporter
    from agentic_core.spans import Tracer

    try:
        return Tracer(SpanExporter(settings, scope=service), settings.sampler, redact=redact)
    except (OSError, ValueError) as error:
        log.warning("no spans are sent: %s", error)
        return None


def _read(environ: Mapping[str, str], name: str, default: str = "") -> str:
    return environ.get(name, "").strip() or default


def _read_pairs(text: str) -> dict[str, str]:
    """Return what a list as ``key=value,other=value`` says; values may be percent-encoded."""
    found = (entry.partition("=") for entry in text.split(","))
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in found if key.strip() and value.strip()}


def _read_seconds(environ: Mapping[str, str], *names: str, default: float) -> float:
    text = next((found for name in names if (found := _read(environ, name))), "")
    return min(_read_number(text, default * 1000) / 1000, 600.0)


def _read_timeout(environ: Mapping[str, str]) -> float:
    """Return how long a request may take; no time at all is no time that can be meant."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    return _read_seconds(environ, *names, default=10.0) or 10.0


def _read_number(text: str, default: float) -> float:
    try:
        number = float(text)
    except ValueError:
        return default
    return number if 0 <= number < float("inf") else default
