"""The chart follows the manifests: what it takes from them is there, and what it says of the program is so."""

import json
import re
import tomllib
from typing import Any

import pytest
import yaml

from agentic_gateway.config import Variables
from agentic_operator.variables import OPTIONS
from hack.chart.places import CHART
from hack.chart.templates import Place, StalePlace, Template, cut
from hack.kubectl import ROOT

MANIFEST = """\
kind: Deployment
metadata:
  name: operator
  namespace: agentic-system
spec:
  replicas: 2
"""
# What the chart sets by other values, and what cannot be otherwise in a pod of it.
SET_BY_THE_CHART = {
    "GATEWAY_URL", "GATEWAY_CA_FILE", "RUNNER_USER", "RUNNER_EGRESS", "CLUSTER_DEFINITIONS",
    "OPERATOR_NAMESPACE", "POD_NAME", "WATCH_NAMESPACES", "ALLOWED_IMAGES", "POSTGRES_CONNECTION_STRING_FILE",
    "RUNNER_POSTGRES_SECRET", "RUNNER_CLUSTER_ROLE", "INSPECTION_NAMESPACE", "CREDENTIALS", "LIVENESS_PORT",
    "KUBECONFIG", "TRACES_ENDPOINT",
    "ALLOWED_PRIORITY_CLASSES", "ALLOWED_TOLERATIONS", "ALLOWED_NODE_LABELS", "ALLOWED_RUNTIME_CLASSES",
    "ALLOWED_POD_LABELS", "ALLOWED_POD_ANNOTATIONS", "SESSION_LABELS",
}  # fmt: skip


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return loaded


def test_places_become_values_and_every_object_gets_the_labels_of_its_release() -> None:
    template = Template("a.yaml", (Place("replicas: 2", "replicas: {{ .Values.replicas }}"),), ".Values.on")

    assert template.render(MANIFEST).splitlines()[1:] == [
        "{{- if .Values.on }}",
        "kind: Deployment",
        "metadata:",
        "  name: operator",
        "  namespace: {{ .Release.Namespace }}",
        "  labels:",
        '    {{- include "agentic-operator.labels" . | nindent 4 }}',
        "spec:",
        "  replicas: {{ .Values.replicas }}",
        "{{- end }}",
    ]


def test_what_only_looks_like_a_template_is_kept() -> None:
    rendered = Template("a.yaml").render("summary: phase {{ $labels.phase }}\n")

    assert rendered.splitlines()[1] == 'summary: phase {{ "{{" }} $labels.phase {{ "}}" }}'


@pytest.mark.parametrize("text", [MANIFEST.replace("2", "3"), MANIFEST + "  replicas: 2\n"])
def test_a_manifest_that_changed_under_the_chart_is_named(text: str) -> None:
    with pytest.raises(StalePlace, match=r"a\.yaml holds 'replicas: 2' [02] times, not 1"):
        Template("a.yaml", (Place("replicas: 2", ""),)).render(text)


def test_lines_that_are_gone_are_named() -> None:
    assert cut("a\nb\nc\n", "b\n", "c\n") == "b\n"
    with pytest.raises(StalePlace, match="no lines from 'b"):
        cut("a\n", "b\n", "c\n")


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert chart["appVersion"] == chart["version"] == project["version"]


def test_every_setting_of_the_operator_can_be_given(schema: dict[str, Any]) -> None:
    known = {option.variable for option in OPTIONS} - SET_BY_THE_CHART
    properties = schema["properties"]

    assert (
        properties["settings"]["properties"].keys()
        | properties["vault"]["properties"]["settings"]["properties"].keys()
        | {"VAULT_ADDR"}
        == known
    )


# What the chart sets itself, and what is the pod's own.
SET_FOR_THE_GATEWAY = {
    "PORT", "HOST", "METRICS_PORT", "POSTGRES_CONNECTION_STRING_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE",
    "KUBERNETES_API", "KUBERNETES_CA_FILE", "KUBERNETES_TOKEN_FILE",
}  # fmt: skip


def test_every_setting_of_the_gateway_can_be_given(schema: dict[str, Any]) -> None:
    known = schema["properties"]["gateway"]["properties"]["settings"]["properties"].keys()

    assert set(known) == set(Variables.model_fields) - SET_FOR_THE_GATEWAY


def test_the_schema_and_the_page_know_every_value(schema: dict[str, Any]) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "helm.md").read_text(encoding="utf-8")
    groups = {name for name, value in values.items() if value and "additionalProperties" in schema["properties"][name]}
    paths = {f"{key}.{inner}" for key in groups for inner in values[key]} | (values.keys() - groups)
    told = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`([\w.]+)`", row)}

    assert paths == told
    for path in paths:
        known = schema
        for key in path.split("."):
            known = known["properties"][key]
