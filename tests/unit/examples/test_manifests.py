"""The manifests of the examples: `kubectl apply -f examples/<name>/` alone must give a session that can run."""

import json
import re

import pytest

from agentic_core.resources.session import AgenticSession
from agentic_core.resources.workflow import WorkflowDefinition
from agentic_core.schema.schema import check_instance, check_schema
from tests.support.examples import EXAMPLES, NAMES, load_example, read_manifest

LOCKED = dict(
    re.findall(r"^([a-z0-9-]+)==([^ ]+) ", (EXAMPLES.parent / "requirements/dev.txt").read_text(), re.MULTILINE)
)


def test_there_are_the_examples() -> None:
    assert {"outliers", "fanout", "agent", "approval-chain", "tool-approval", "two-people", "chat"} <= set(NAMES)


def test_the_session_that_asks_is_the_outliers_session_with_a_question() -> None:
    manifest = read_manifest("outliers", "asking/session.yaml")
    session = AgenticSession.model_validate(manifest)
    assert session.spec.inputs["ask"] is True
    schema = read_manifest("outliers", "definition.yaml")["spec"]["inputSchema"]
    assert check_instance(schema, session.spec.inputs) == ()


@pytest.mark.parametrize("name", NAMES)
def test_folder_holds_nothing_else_that_kubectl_would_apply(name: str) -> None:
    applied = [path.name for path in (EXAMPLES / name).iterdir() if path.suffix in (".yaml", ".yml", ".json")]
    assert sorted(applied) == ["definition.yaml", "session.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_definition_is_valid_and_knows_its_graph(name: str) -> None:
    manifest = read_manifest(name, "definition.yaml")
    definition = WorkflowDefinition.model_validate(manifest)
    assert not unknown_fields(manifest["spec"], definition.spec.to_wire())
    assert manifest["metadata"]["name"] == name
    assert definition.spec.image == f"agentic-operator/example-{name}:dev"
    graphs = json.loads((EXAMPLES / name / "app" / "langgraph.json").read_text())["graphs"]
    assert definition.spec.graph in graphs
    assert check_schema(definition.spec.input_schema) == ()


@pytest.mark.parametrize("name", NAMES)
def test_session_is_valid_and_its_inputs_fit_the_schema(name: str) -> None:
    manifest = read_manifest(name, "session.yaml")
    session = AgenticSession.model_validate(manifest)
    assert not unknown_fields(manifest["spec"], session.spec.to_wire())
    assert session.spec.workflow_ref.name == name
    schema = read_manifest(name, "definition.yaml")["spec"]["inputSchema"]
    inputs = session.spec.inputs
    if manifest["spec"].get("mode") == "Conversation":
        assert not {"inputs", "turns"} & set(manifest["spec"]), (
            "turns are said by people, and no manifest declares them"
        )
        inputs = {"messages": [{"role": "user", "content": "Hello"}]}
    assert check_instance(schema, inputs) == ()
    assert check_instance(schema, {**inputs, "mistyped": 1}) != ()


@pytest.mark.parametrize("name", NAMES)
def test_input_schema_names_the_inputs_of_the_graph(name: str) -> None:
    schema = read_manifest(name, "definition.yaml")["spec"]["inputSchema"]
    with load_example(name) as module:
        assert set(schema["properties"]) == set(module.Inputs.__annotations__)
        assert set(module.graph.get_input_jsonschema()["properties"]) == set(schema["properties"])


@pytest.mark.parametrize("name", NAMES)
def test_defaults_of_the_schema_are_allowed_by_it(name: str) -> None:
    properties = read_manifest(name, "definition.yaml")["spec"]["inputSchema"]["properties"]
    for each in properties.values():
        if "default" in each:
            assert check_instance(each, each["default"]) == ()


@pytest.mark.parametrize("name", NAMES)
def test_requirements_are_pinned_to_what_the_tests_ran_with(name: str) -> None:
    lines = (EXAMPLES / name / "app" / "requirements.txt").read_text().splitlines()
    for line in (line for line in lines if not line.startswith("#")):
        package, _, version = line.partition("==")
        assert LOCKED[package] == version


@pytest.mark.parametrize("name", NAMES)
def test_image_is_four_lines_on_the_base(name: str) -> None:
    words = [line.split()[0] for line in (EXAMPLES / name / "Containerfile").read_text().splitlines()]
    assert words == ["ARG", "FROM", "COPY", "RUN"]


def unknown_fields(given: object, known: object, path: str = "") -> list[str]:
    """Return the fields of a manifest that the model dropped."""
    if path == ".inputSchema" or path.startswith(".inputs"):
        return []
    if isinstance(given, dict):
        assert isinstance(known, dict)
        dropped = [f"{path}.{key}" for key in given if key not in known]
        kept = [unknown_fields(given[key], known[key], f"{path}.{key}") for key in given if key in known]
        return dropped + [each for some in kept for each in some]
    return []
