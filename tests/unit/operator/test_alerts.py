"""The alert rules that are delivered: valid PromQL over metrics and labels that exist, each with a page to turn to."""

import re
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

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
    families = text_string_to_metric_families(metrics.render().decode())
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, set()).update(sample.labels)
    return found


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


def test_both_forms_hold_the_same_rules() -> None:
    plain = yaml.safe_load((FOLDER / "rules.yaml").read_text())
    wrapped = yaml.safe_load((FOLDER / "prometheusrule.yaml").read_text())
    assert wrapped["spec"] == plain


def test_the_pod_monitor_finds_the_pods_and_their_port() -> None:
    monitor = yaml.safe_load((FOLDER / "podmonitor.yaml").read_text())["spec"]
    template = yaml.safe_load((ROOT / "manifests/operator/deployment.yaml").read_text())["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    ports = [port["name"] for port in template["spec"]["containers"][0]["ports"]]
    assert [each["port"] for each in monitor["podMetricsEndpoints"]] == [port for port in ports if port == "health"]
