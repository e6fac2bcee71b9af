"""The alert rules that are delivered: valid PromQL over metrics and labels that exist, each with a page to turn to."""

import json
import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from agentic_gateway.main import show_gauges
from agentic_gateway.operations.lifecycle import Lifecycle
from agentic_gateway.operations.metrics import Metrics as GatewayMetrics
from agentic_gateway.operations.readiness import API_SERVER, Readiness
from agentic_operator.cache.index import Index
from agentic_operator.metrics import Metrics
from tests.support.builders import a_session
from tests.support.commands import ROOT
from tests.unit.operator.test_metrics import fill

FOLDER = ROOT / "manifests/monitoring"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"] for rule in group["rules"]
]
# Of kube-state-metrics, by its documentation.
FOREIGN = {
    # Of Prometheus itself, about what it scrapes.
    "up": {"job"},
    "kube_job_status_failed": {"job_name"},
    "kube_job_status_succeeded": {"job_name"},
    "kube_cronjob_created": {"cronjob"},
    "kube_cronjob_status_last_successful_time": {"cronjob"},
}


@pytest.fixture(scope="module")
def served() -> dict[str, set[str]]:
    """The names of all metrics with their labels."""
    index = Index(lambda _: None, lambda _: None)
    index.see_session(a_session().with_metadata(creationTimestamp="2026-03-01T12:00:00Z").raw())
    metrics = Metrics()
    fill(metrics, index)
    families = [*text_string_to_metric_families(metrics.render().decode()), *read_gateway()]
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, set()).update(sample.labels)
    return found


def read_gateway() -> Iterable[Metric]:
    """Return what a gateway serves that did each thing once."""
    metrics, lifecycle = GatewayMetrics(), Lifecycle()
    readiness = Readiness(lifecycle)
    readiness.note(API_SERVER, None)
    statistics = dict.fromkeys(("pool_size", "pool_available", "requests_waiting", "requests_errors"), 1)
    database: Any = SimpleNamespace(pool=SimpleNamespace(get_stats=lambda: statistics))
    hub: Any = SimpleNamespace(feeds=1)
    show_gauges(metrics, database, hub, lifecycle, readiness)
    metrics.count_request("GET", "/ws", 200, 0.1)
    metrics.refusals.labels("forbidden").inc()
    metrics.frames.labels("sse").inc()
    metrics.closed.labels("1011").inc()
    return text_string_to_metric_families(metrics.render().decode())


def read_selectors(expr: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expr), visit)
    return found


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_asks_for_metrics_that_are_served_and_says_what_to_do(
    rule: dict[str, Any], served: dict[str, set[str]]
) -> None:
    known = {**served, **FOREIGN}
    selectors = read_selectors(rule["expr"])
    assert selectors
    labels: set[str] = set()
    for selector in selectors:
        assert selector.name in known, f"{selector.name} is served by nobody"
        for matcher in selector.matchers.matchers:
            assert matcher.name in known[selector.name] | {"__name__"}, f"{selector.name} has no label {matcher.name}"
        labels |= known[selector.name or ""]
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert used <= labels
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"].endswith(".")
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    guide = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert f"`{rule['alert']}`" in guide, "docs/operations.md does not say what to do"


DASHBOARD = json.loads((FOLDER / "gateway-dashboard.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=[panel["title"] for panel in DASHBOARD["panels"]])
def test_a_panel_of_the_dashboard_asks_for_metrics_that_are_served(
    panel: dict[str, Any], served: dict[str, set[str]]
) -> None:
    # Of Prometheus itself.
    scraped = {"job", "instance"}
    for target in panel["targets"]:
        selectors = read_selectors(target["expr"].replace("$__rate_interval", "5m"))
        assert selectors
        labels = set(scraped)
        for selector in selectors:
            assert selector.name in served, f"{selector.name} is served by nobody"
            labels |= served[selector.name or ""]
            for matcher in selector.matchers.matchers:
                assert matcher.name in labels | {"__name__"}
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels
    assert panel["datasource"]["uid"] == "${datasource}"


def test_the_panels_of_the_dashboard_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_both_forms_hold_the_same_rules() -> None:
    plain = yaml.safe_load((FOLDER / "rules.yaml").read_text())
    wrapped = yaml.safe_load((FOLDER / "prometheusrule.yaml").read_text())
    assert wrapped["spec"] == plain


@pytest.mark.parametrize(
    ("monitor", "deployment", "port"),
    [("podmonitor", "operator/deployment", "health"), ("gateway", "gateway/deployment", "metrics")],
    ids=["operator", "gateway"],
)
def test_the_pod_monitor_finds_the_pods_and_their_port(monitor: str, deployment: str, port: str) -> None:
    spec = yaml.safe_load((FOLDER / f"{monitor}.yaml").read_text())["spec"]
    template = yaml.safe_load((ROOT / f"manifests/{deployment}.yaml").read_text())["spec"]["template"]
    assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    ports = [each["name"] for each in template["spec"]["containers"][0]["ports"]]
    assert [each["port"] for each in spec["podMetricsEndpoints"]] == [each for each in ports if each == port]
