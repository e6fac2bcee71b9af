"""Which keys of inputs nobody reads, and what is said about them."""

import pytest

from agentic_core.input_rules import MAX_UNKNOWN, find_unknown_keys, read_rules

SCHEMA: dict[str, object] = {"properties": {"threshold": {}, "dataset": {}}}


@pytest.mark.parametrize(
    ("declared", "derived", "inputs", "warnings"),
    [
        pytest.param(
            None,
            SCHEMA,
            {"thresold": 1},
            ["/thresold: is not an input of this workflow; did you mean 'threshold'?"],
            id="mistyped",
        ),
        pytest.param(
            None,
            SCHEMA,
            {"colour": 1},
            ["/colour: is not an input of this workflow and is ignored; it knows dataset, threshold"],
            id="unknown to the graph",
        ),
        pytest.param(None, SCHEMA, {"threshold": 1, "dataset": 2}, [], id="all known"),
        pytest.param(None, {"properties": {}}, {"a/b": 1}, ["/a~1b: "], id="a graph that knows none"),
        pytest.param(None, SCHEMA | {"additionalProperties": True}, {"thresold": 1}, [], id="any key is taken"),
        pytest.param(None, {"type": "object"}, {"thresold": 1}, [], id="no keys are listed"),
        pytest.param(None, None, {"thresold": 1}, [], id="nothing is known"),
        pytest.param(None, SCHEMA, ["thresold"], [], id="no object"),
        pytest.param(SCHEMA, None, {"thresold": 1}, ["/thresold: "], id="mistyped, declared"),
        pytest.param(SCHEMA, None, {"colour": 1}, [], id="an author need not list all"),
        pytest.param(SCHEMA, None, {"threshold": 1, "thresholds": 1}, [], id="the similar key is there, too"),
    ],
)
def test_names_the_keys_that_nobody_reads(
    declared: dict[str, object] | None, derived: dict[str, object] | None, inputs: object, warnings: list[str]
) -> None:
    found = [str(each) for each in find_unknown_keys(read_rules(declared, derived), inputs)]
    assert len(found) == len(warnings)
    assert all(text.startswith(words) for text, words in zip(found, warnings, strict=True))


def test_bounds_what_it_says_of_many_long_keys() -> None:
    inputs = {f"{number}{'x' * 10_000}": 0 for number in range(1000)}
    found = find_unknown_keys(read_rules(None, SCHEMA), inputs)
    assert len(found) == MAX_UNKNOWN
    assert max(len(each.pointer) for each in found) < 70
