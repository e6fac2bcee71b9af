"""The OpenAPI document: what the gateway serves, and what a client is generated from."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.support.commands import ROOT, clean_environment
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.openapi_tools import find_tool
from tests.trust.roles import Client

Json = dict[str, Any]

DOCUMENT = ROOT / "docs" / "openapi.json"
EXAMPLES = ("agent", "approval-chain", "chat", "fanout", "outliers", "tool-approval")


def test_the_document_is_what_the_gateway_serves(gateway: Gateway) -> None:
    assert gateway.call("GET", "/openapi.json").body == json.loads(DOCUMENT.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("file", "model"),
    [
        *((f"examples/{name}/session.yaml", "NewSession") for name in EXAMPLES),
        *((f"examples/{name}/definition.yaml", "NewDefinition") for name in EXAMPLES),
    ],
)
def test_bodies_are_described_as_the_resources_are(file: str, model: str) -> None:
    """One source: what `kubectl apply` takes, the description allows, and names each field that has another type."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    schema = {"$ref": f"#/components/schemas/{model}", "components": document["components"]}
    validator = Draft202012Validator(schema)
    for each in yaml.safe_load_all((ROOT / file).read_text(encoding="utf-8")):
        body = {"metadata": {"name": each["metadata"]["name"]}, "spec": each["spec"]}
        assert not list(validator.iter_errors(body))
        wrong = {**body, "spec": {**each["spec"], "timeoutSeconds": "soon", "resources": 1}}
        assert list(validator.iter_errors(wrong))


def test_a_patch_may_name_any_part_of_a_resource_and_remove_it() -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    schema = {"$ref": "#/components/schemas/AgenticSessionPatch", "components": document["components"]}
    validator = Draft202012Validator(schema)
    allowed: tuple[Json, ...] = (
        {"spec": {"displayName": None}},
        {"spec": {"userContext": {"private": True}}},
        {"metadata": {}},
    )
    for body in allowed:
        assert not list(validator.iter_errors(body)), body
    refused: tuple[Json, ...] = ({"spec": {"displayName": 1}}, {"spec": {"mode": "Chat"}}, {"spce": {}})
    for body in refused:
        assert list(validator.iter_errors(body)), body
    ((path, change),) = [
        (path, each["patch"])
        for path, each in document["paths"].items()
        if each.get("patch", {}).get("operationId") == "patch_session"
    ]
    assert path == "/api/v1/agentic-sessions/{namespace}/{name}"
    assert change["requestBody"]["content"]["application/json"]["schema"] == {"$ref": schema["$ref"]}


def test_what_lists_hold_is_described_as_the_objects_are(
    gateway: Gateway, space: Space, somebody: Callable[..., Client]
) -> None:
    space.define()
    space.start("s1", inputs={"a": 1})
    alice = somebody("alice", "agentic-view")
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    for path, model in (("workflow-definitions", "DefinitionList"), ("agentic-sessions", "SessionList")):
        found = gateway.call("GET", f"/api/v1/{path}/{space.name}", token=alice.token).body
        schema = {"$ref": f"#/components/schemas/{model}", "components": document["components"]}
        validator = Draft202012Validator(schema)
        assert len(found["items"]) == 1
        assert not list(validator.iter_errors(found))
        assert list(validator.iter_errors({**found, "items": [{**found["items"][0], "kind": "Pod"}]}))


def test_a_client_is_generated_from_the_document_and_compiles(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text("content_type_overrides:\n  application/jsonl: text/plain\npost_hooks: []\n", encoding="utf-8")
    made = subprocess.run(
        [
            find_tool("openapi-python-client"),
            *("generate", "--path", DOCUMENT, "--meta", "none", "--config", config),
            *("--output-path", tmp_path / "client", "--fail-on-warning"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert made.returncode == 0, made.stdout + made.stderr
    subprocess.run([sys.executable, "-m", "compileall", "-q", tmp_path / "client"], check=True)
    functions = {file.stem for file in (tmp_path / "client" / "api").rglob("*.py")}
    operations = {
        each["operationId"]
        for path in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].values()
        for each in path.values()
    }
    assert operations <= functions
