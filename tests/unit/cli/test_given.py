"""Config and context from the command line."""

from pathlib import Path
from typing import Any

import pytest

from agentic_cli.inputs.given import build_given
from agentic_core.errors import AgenticError

NOTHING: dict[str, Any] = {
    "configs": (),
    "config_file": None,
    "contexts": (),
    "context_file": None,
    "recursion_limit": None,
    "status": {},
}


def given(base: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return build_given(base or {}, **{**NOTHING, **options})


def test_nothing_said_is_nothing_sent() -> None:
    assert given() == {}


def test_options_go_over_files_and_schemas_say_what_a_text_means(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("configurable: {user: bob, code: x}\ntags: [nightly]\n")
    status = {
        "configSchema": {"properties": {"code": {"type": "string"}}},
        "contextSchema": {"properties": {"size": {"type": "integer"}}},
    }
    found = given(
        config_file=str(file),
        configs=("user=ann", "code=007"),
        contexts=("size=3", "deep.a=true"),
        recursion_limit=9,
        status=status,
    )
    assert found == {
        "config": {"configurable": {"user": "ann", "code": "007"}, "tags": ["nightly"], "recursion_limit": 9},
        "context": {"size": 3, "deep": {"a": True}},
    }


def test_a_fork_keeps_what_its_source_has_with_the_options_over_it() -> None:
    base: dict[str, Any] = {
        "config": {"configurable": {"a": 1, "b": 2}, "recursion_limit": 5},
        "context": {"c": 3},
    }
    assert given(base) == base
    found = given(base, configs=("b=4",), recursion_limit=50)
    assert found["config"] == {"configurable": {"a": 1, "b": 4}, "recursion_limit": 50}
    assert found["context"] == {"c": 3}
    assert base["config"]["configurable"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"configs": ("thread_id=x",)}, "/spec/config/configurable/thread_id"),
        ({"configs": ("nothing",)}, "is not key=value"),
        ({"recursion_limit": 10_000_000}, "/spec/config/recursion_limit"),
        ({"config_file": "/nowhere.yaml"}, "cannot be read"),
    ],
)
def test_what_cannot_be_set_is_refused_before_anything_is_sent(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AgenticError, match=complaint):
        given(**options)


def test_a_file_with_an_unknown_part_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"recursionLimit": 5}')
    with pytest.raises(AgenticError, match="/spec/config/recursionLimit"):
        given(config_file=str(file))
