"""Config and context of a session: how they are merged, and which names are refused."""

from typing import Any

import pytest

from agentic_core.contract import MAX_CONFIG_BYTES, MAX_CONTEXT_BYTES
from agentic_core.input_rules import GRAPH_ACCEPTS
from agentic_core.resources.graph_config import GraphConfig
from agentic_core.run_settings import (
    RESERVED_CONFIGURABLE,
    RESERVED_CONFIGURABLE_PREFIXES,
    RESERVED_METADATA,
    RESERVED_METADATA_PREFIXES,
    RunSettings,
    find_context_problems,
    find_settings_problems,
    find_unknown_settings,
    merge_settings,
    read_settings,
)
from tests.support.builders import a_session


def merged(default: dict[str, Any], own: dict[str, Any]) -> RunSettings:
    return merge_settings(GraphConfig.model_validate(default), None, GraphConfig.model_validate(own), None)


def pointers(config: dict[str, Any] | None = None, context: dict[str, Any] | None = None) -> list[str]:
    parsed = GraphConfig.model_validate(config) if config is not None else None
    return [problem.pointer for problem in find_settings_problems(parsed, context, "/spec")]


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [
        pytest.param({}, {}, {}, id="nothing at all"),
        pytest.param({"a": 1}, {}, {"a": 1}, id="the definition's alone"),
        pytest.param({}, {"a": 1}, {"a": 1}, id="the session's alone"),
        pytest.param({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}, id="the session's over the other"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"x": 3}}, {"a": {"x": 3}}, id="a value is replaced whole"),
        pytest.param({"a": 1}, {"a": None}, {"a": None}, id="null is a value"),
    ],
)
def test_keys_are_merged_one_by_one(default: dict[str, Any], own: dict[str, Any], expected: dict[str, Any]) -> None:
    assert merged({"configurable": default}, {"configurable": own}).configurable == expected
    assert merged({"metadata": default}, {"metadata": own}).metadata == expected
    assert merge_settings(None, default, None, own).context == expected


def test_a_context_that_nobody_gives_is_none() -> None:
    assert merge_settings(None, None).context is None
    assert merge_settings(None, {}).context == {}


def test_tags_are_united_and_the_sessions_limit_stands_first() -> None:
    both = merged({"tags": ["a", "b"], "recursion_limit": 5}, {"tags": ["b", "c"], "recursion_limit": 7})
    assert both.tags == ("a", "b", "c")
    assert both.recursion_limit == 7
    assert merged({"recursion_limit": 5}, {}).recursion_limit == 5
    assert merged({}, {}).recursion_limit is None


def test_a_session_is_given_what_it_pinned_and_not_what_its_definition_says_now() -> None:
    pinned = {"defaults": {"config": {"configurable": {"a": 1}, "recursion_limit": 9}, "context": {"b": None}}}
    session = a_session().with_spec(config={"configurable": {"c": 2}}, context={"d": 3})
    assert read_settings(session.build()) == RunSettings({"c": 2}, None, (), {}, {"d": 3})
    started = session.with_status(workflow={"image": "i", "spec": pinned}).build()
    assert read_settings(started) == RunSettings({"a": 1, "c": 2}, 9, (), {}, {"b": None, "d": 3})


@pytest.mark.parametrize("key", [*RESERVED_CONFIGURABLE, *(f"{each}x" for each in RESERVED_CONFIGURABLE_PREFIXES)])
def test_a_configurable_key_of_the_system_is_refused_with_its_place(key: str) -> None:
    assert pointers({"configurable": {"mine": 1, key: "x"}}) == [f"/spec/config/configurable/{key}"]


@pytest.mark.parametrize("key", [*RESERVED_METADATA, *(f"{each}x" for each in RESERVED_METADATA_PREFIXES)])
def test_a_metadata_key_of_the_system_is_refused_with_its_place(key: str) -> None:
    assert pointers({"metadata": {"mine": 1, key: "x"}}) == [f"/spec/config/metadata/{key}"]


def test_what_looks_like_a_key_of_the_system_elsewhere_is_the_authors() -> None:
    assert pointers({"configurable": {"a": {"thread_id": 1}, "source": "web", "step": 2}}, {"thread_id": "mine"}) == []


def test_the_tag_that_hides_every_node_is_refused() -> None:
    assert pointers({"tags": ["mine", "langsmith:hidden"]}) == ["/spec/config/tags/1"]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        pytest.param("a\x00b", "/x", id="a character that cannot be stored"),
        pytest.param("\ud800", "/x", id="half a surrogate pair"),
        pytest.param(float("nan"), "/x", id="not a number"),
        pytest.param({"deep": {"a\x00": 1}}, "/x/deep", id="a key that cannot be stored"),
    ],
)
def test_a_value_that_cannot_be_kept_is_refused_with_its_place(value: Any, place: str) -> None:
    (config,) = pointers({"configurable": {"x": value}})
    (context,) = pointers(None, {"x": value})
    assert config.startswith("/spec/config")
    assert context.startswith("/spec/context")


def test_config_and_context_are_of_bounded_size() -> None:
    assert pointers({"configurable": {"x": "y" * (MAX_CONFIG_BYTES - 64)}}, {"x": "y" * (MAX_CONTEXT_BYTES - 64)}) == []
    assert pointers({"configurable": {"x": "y" * MAX_CONFIG_BYTES}}) == ["/spec/config"]
    assert pointers(None, {"x": "y" * MAX_CONTEXT_BYTES}) == ["/spec/context"]


CONTEXT = {
    "properties": {"model": {}, "user": {}},
    GRAPH_ACCEPTS: {
        "required": ["user"], "properties": {"model": {}, "user": {}}, "additionalProperties": False,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(RunSettings(context={"user": "ann"}), [], id="all that is required"),
        pytest.param(RunSettings(), ["/spec/context/user"], id="nothing"),
        pytest.param(RunSettings({"user": "ann"}), [], id="all of it in configurable, as of old"),
        pytest.param(RunSettings({"user": "ann"}, context={"model": "m"}), ["/spec/context/user"], id="a part of each"),
        pytest.param(RunSettings(context={"user": "a", "modle": 1}), ["/spec/context/modle"], id="an unknown field"),
    ],
)
def test_a_context_is_refused_as_the_graph_would(settings: RunSettings, expected: list[str]) -> None:
    assert [problem.pointer for problem in find_context_problems(CONTEXT, settings)] == expected
    assert find_context_problems(None, settings) == ()


@pytest.mark.parametrize(
    "written",
    [[], "user", {"required": "user"}, {"required": [{}, 1]}, {"properties": 3, "additionalProperties": False}],
)
def test_a_derived_schema_of_another_shape_is_no_reason_to_fail(written: object) -> None:
    found = find_context_problems({GRAPH_ACCEPTS: written}, RunSettings(context={"user": "ann"}))
    assert all(problem.pointer == "/spec/context/user" for problem in found)


def test_a_mistyped_key_is_warned_of() -> None:
    settings = RunSettings({"modle": 1, "anything": 2}, context={"usr": 3, "model": 4})
    found = {problem.pointer: problem.message for problem in find_unknown_settings(CONTEXT, CONTEXT, settings)}
    assert set(found) == {"/spec/config/configurable/modle", "/spec/context/usr"}
    assert "did you mean 'model'?" in found["/spec/config/configurable/modle"]
    assert find_unknown_settings(None, None, settings) == ()
