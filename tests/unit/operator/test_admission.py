"""What is said about inputs and images before anything starts."""

import json

import pytest

from agentic_core.conditions import Reason
from agentic_core.contract import MAX_INPUT_BYTES
from agentic_core.errors import Problem
from agentic_operator.admission import (
    MAX_LISTED_PROBLEMS,
    Admitted,
    admit_workflow,
    check_fork,
    check_image,
    input_schema,
    measure_inputs,
    refuse_inputs,
)
from agentic_operator.images import EVERY_IMAGE, AllowedImages
from tests.support.builders import a_cluster_definition, a_definition, a_session


def test_the_refusal_of_inputs_points_into_the_session() -> None:
    refused = refuse_inputs([Problem("/threshold", "'x' is not of type 'number'"), Problem("", "'a' is required")])
    assert refused is not None
    assert refused.reason is Reason.INVALID_INPUT
    assert refused.message == "/spec/inputs/threshold: 'x' is not of type 'number'; /spec/inputs: 'a' is required"
    assert refuse_inputs([]) is None


def test_a_long_list_of_problems_is_cut() -> None:
    refused = refuse_inputs(Problem(f"/{number}", "bad") for number in range(100))
    assert refused is not None
    assert refused.message.count("/spec/inputs/") == MAX_LISTED_PROBLEMS
    assert refused.message.endswith("and 90 more")


@pytest.mark.parametrize(("extra", "is_refused"), [(0, False), (1, True)])
def test_inputs_are_measured_as_compact_json(extra: int, is_refused: bool) -> None:
    text = "ü" * ((MAX_INPUT_BYTES - 2 - len('{"a":""}') + 2) // 2)
    inputs = {"a": text[: (MAX_INPUT_BYTES - 8) // 2]}
    size = len(json.dumps(inputs, ensure_ascii=False, separators=(",", ":")).encode())
    inputs["a"] += "x" * (MAX_INPUT_BYTES - size + extra)
    refused = measure_inputs(a_session().with_spec(inputs=inputs).build())
    assert (refused is not None) is is_refused
    if refused is not None:
        assert "262,145 bytes" in refused.message


@pytest.mark.parametrize(
    ("spec", "is_refused"),
    [
        ({"inputs": {"a": 1}}, False),
        ({"forkFrom": {"session": "s"}}, False),
        ({"forkFrom": {"session": "s"}, "inputs": {}}, False),
        ({"forkFrom": {"session": "s"}, "inputs": {"a": 1}}, True),
        ({"forkFrom": {"session": "s"}, "inputs": 0}, True),
    ],
)
def test_a_fork_takes_no_inputs(spec: dict[str, object], is_refused: bool) -> None:
    refused = check_fork(a_session().with_spec(**{"inputs": None, **spec}).build())
    assert (refused is not None) is is_refused
    if refused is not None:
        assert refused.reason is Reason.INVALID_INPUT
        assert refused.message.startswith("/spec/inputs: a session with forkFrom")


def test_the_authors_schema_stands_before_the_derived_one() -> None:
    derived = {"inputSchema": {"title": "derived"}}
    assert input_schema(a_definition(status=derived)) == {"title": "derived"}
    assert input_schema(a_definition(status=derived, inputSchema={"title": "author"})) == {"title": "author"}
    assert input_schema(a_definition()) is None


def test_a_session_may_name_another_graph_of_the_image() -> None:
    session = a_session().with_spec(workflowRef={"name": "report", "graph": "other"}).build()
    admitted = admit_workflow(session, a_definition(graph="main", version="7"), EVERY_IMAGE)
    assert isinstance(admitted, Admitted)
    assert (admitted.snapshot.graph, admitted.snapshot.version) == ("other", "7")


def test_a_definition_of_the_cluster_serves_like_any_other() -> None:
    session = a_session().with_spec(workflowRef={"name": "report", "kind": "ClusterWorkflowDefinition"}).build()
    missing = admit_workflow(session, None, EVERY_IMAGE)
    assert "ClusterWorkflowDefinition 'report'" in getattr(missing, "message", "")
    definition = a_cluster_definition()
    ready = definition.model_copy(update={"metadata": definition.metadata.model_copy(update={"generation": 1})})
    assert isinstance(admit_workflow(session, ready, EVERY_IMAGE), Admitted)


def test_images_that_are_none_and_images_that_are_not_allowed_are_told_apart() -> None:
    allowed = AllowedImages.parse("registry.example.com/team")
    assert check_image("registry.example.com/team/a:1", allowed) is None
    other = check_image("docker.io/library/python", allowed)
    none = check_image("not an image", allowed)
    assert other is not None
    assert none is not None
    assert "runs registry.example.com/team" in other.message
    assert other.reason is none.reason is Reason.IMAGE_NOT_ALLOWED
