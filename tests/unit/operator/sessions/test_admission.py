"""What is said about inputs and images before anything starts."""

import json
from typing import Any

import pytest

from agentic_core.conditions import Reason
from agentic_core.contract import MAX_INPUT_BYTES
from agentic_core.errors import Problem
from agentic_core.input_rules import InputRules, read_rules
from agentic_core.schema.sandbox import SchemaChecker
from agentic_operator.controllers.schema_checker import find_input_problems
from agentic_operator.images import EVERY_IMAGE, AllowedImages
from agentic_operator.sessions.admission import (
    MAX_LISTED_PROBLEMS,
    Admitted,
    admit_workflow,
    check_deadline,
    check_fork,
    check_image,
    find_input_rules,
    has_fork_inputs,
    measure_inputs,
    refuse_inputs,
)
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


@pytest.mark.parametrize("contract", [None, 2, 3])
@pytest.mark.parametrize(
    ("spec", "has_inputs"),
    [
        ({"inputs": {"a": 1}}, False),
        ({"forkFrom": {"session": "s"}}, False),
        ({"forkFrom": {"session": "s"}, "inputs": {}}, False),
        ({"forkFrom": {"session": "s"}, "inputs": {"a": 1}}, True),
        ({"forkFrom": {"session": "s"}, "inputs": 0}, True),
    ],
)
def test_an_older_runner_gives_no_inputs_to_a_fork(
    spec: dict[str, object], has_inputs: bool, contract: int | None
) -> None:
    session = a_session().with_spec(**{"inputs": None, **spec}).build()
    assert has_fork_inputs(session) is has_inputs
    refused = check_fork(session, a_definition(status={"runnerContract": contract}))
    assert (refused is not None) is (has_inputs and contract != 3)
    if refused is not None:
        assert refused.reason is Reason.INVALID_INPUT
        assert refused.message.startswith("/spec/inputs: the image of WorkflowDefinition 'report' has a runner that")


DERIVED: dict[str, object] = {"properties": {"a": {"type": "integer"}}, "x-graph-accepts": {"type": "object"}}


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 1e22])
def test_numbers_that_the_api_server_rounded_are_refused_in_every_value(number: float) -> None:
    fork = check_fork(
        a_session().with_spec(inputs=None, forkFrom={"session": "s", "values": {"n": [number]}}).build(), None
    )
    limit = {"seconds": 60, "onExpiry": "Resume", "value": number}
    deadline = check_deadline(a_session().with_spec(inputDeadline=limit).build(), a_definition())
    assert fork is not None
    assert deadline is not None
    assert fork.message.startswith("/spec/forkFrom/values/n/0: the number ")
    assert deadline.message.startswith("/spec/inputDeadline/value: the number ")


NO = {"approve": False, "why": None}


@pytest.mark.parametrize(
    ("allowed", "limit", "complaint"),
    [
        pytest.param(None, None, None, id="no deadline"),
        pytest.param(None, {}, None, id="a deadline that fails"),
        pytest.param(None, {"onExpiry": "Resume", "value": NO}, "lets a deadline give no answer, by", id="not allowed"),
        pytest.param({"any": True}, {"onExpiry": "Resume", "value": {"approve": True}}, None, id="any is allowed"),
        pytest.param({"values": [1, NO]}, {"onExpiry": "Resume", "value": NO}, None, id="listed"),
        pytest.param(
            {"values": [NO]},
            {"onExpiry": "Resume", "value": {"approve": True, "why": None}},
            'no other answer than {"approve": false, "why": null}, by',
            id="not listed",
        ),
        pytest.param(
            {"values": [1]}, {"onExpiry": "Resume", "value": True}, "no other answer than 1", id="true is not 1"
        ),
        pytest.param({"any": True}, {"onExpiry": "Resume"}, "onExpiry Resume needs the answer", id="nothing to answer"),
    ],
)
def test_a_deadline_answers_what_the_definition_allows(
    allowed: dict[str, object] | None, limit: dict[str, object] | None, complaint: str | None
) -> None:
    spec = {} if limit is None else {"inputDeadline": {"seconds": 1, **limit}}
    said: dict[str, Any] = {} if allowed is None else {"deadlineAnswers": allowed}
    definition = a_definition(**said)
    refused = check_deadline(a_session().with_spec(**spec).build(), definition)
    if complaint is None:
        assert refused is None
    else:
        assert refused is not None
        assert refused.reason is Reason.INVALID_SPEC
        assert refused.message.startswith("/spec/inputDeadline/value: ")
        assert complaint in refused.message


def test_the_authors_schema_judges_and_a_derived_one_only_by_what_the_graph_refuses() -> None:
    session, status = a_session().build(), {"inputSchema": DERIVED}
    derived = find_input_rules(session, a_definition(status=status))
    assert (derived.judging, derived.form, derived.is_declared) == ({"type": "object"}, DERIVED, False)
    author = find_input_rules(session, a_definition(status=status, inputSchema={"title": "author"}))
    assert (author.judging, author.form, author.is_declared) == ({"title": "author"}, {"title": "author"}, True)
    assert find_input_rules(session, a_definition()).judging is None


def test_a_schema_derived_from_one_graph_says_nothing_of_another() -> None:
    session = a_session().with_spec(workflowRef={"name": "report", "graph": "other"}).build()
    rules = find_input_rules(session, a_definition(graph="main", status={"inputSchema": DERIVED}))
    assert (rules.judging, rules.form) == (None, None)


@pytest.mark.parametrize(
    ("rules", "inputs", "pointers"),
    [
        pytest.param(read_rules(None, DERIVED), {"a": "text", "b": 1}, [], id="types of a derived schema"),
        pytest.param(read_rules(None, DERIVED), [1], [""], id="no object for a state graph"),
        pytest.param(read_rules(None, DERIVED), {"a": "\0"}, ["/a"], id="what nobody can store"),
        pytest.param(read_rules(None, None), {"a": "\0"}, ["/a"], id="what nobody can store, without a schema"),
        pytest.param(read_rules(None, DERIVED), None, [], id="nothing, for a graph that needs nothing"),
        pytest.param(
            read_rules(None, {"x-graph-accepts": {"type": "object", "required": ["a"]}}),
            None,
            [""],
            id="a field missing",
        ),
        pytest.param(read_rules(None, {"x-graph-accepts": {"pattern": "("}}), {"a": 1}, [], id="unusable, derived"),
        pytest.param(read_rules(None, {"properties": {"a": False}, "required": ["b"]}), {"a": 1}, [], id="old report"),
        pytest.param(read_rules({"pattern": "("}, DERIVED), {"a": 1}, [""], id="unusable, declared"),
        pytest.param(read_rules({"type": "object"}, None), None, [], id="nothing, for an object of an author"),
        pytest.param(read_rules({"type": "null"}, None), None, [], id="nothing, for an author who wants null"),
        pytest.param(read_rules({"required": ["a"]}, None), None, [""], id="nothing, where the author wants a key"),
    ],
)
async def test_inputs_are_judged_by_what_was_declared(rules: InputRules, inputs: object, pointers: list[str]) -> None:
    async with SchemaChecker(workers=1) as checker:
        assert [each.pointer for each in await find_input_problems(checker, rules, inputs)] == pointers


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
