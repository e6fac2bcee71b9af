"""The corpus of verdicts that the console's form engine shares: here the server's engine is held to it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentic_core.schema.schema import check_instance, check_schema

CORPUS = Path(__file__).parents[2] / "corpus" / "schema_verdicts.json"
GROUPS: list[dict[str, Any]] = json.loads(CORPUS.read_text(encoding="utf-8"))["groups"]


def _expand(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"$repeat"}:
        text, count = value["$repeat"]
        return text * count
    return value


def test_the_corpus_is_large_enough() -> None:
    names = [group["name"] for group in GROUPS]
    assert len(names) == len(set(names))
    assert sum(len(group["valid"]) + len(group["invalid"]) for group in GROUPS) >= 600


@pytest.mark.parametrize("group", GROUPS, ids=[group["name"] for group in GROUPS])
def test_the_server_judges_as_the_corpus_says(group: dict[str, Any]) -> None:
    assert check_schema(group["schema"]) == ()
    for value in group["valid"]:
        assert check_instance(group["schema"], _expand(value)) == (), value
    for value in group["invalid"]:
        assert check_instance(group["schema"], _expand(value)) != (), value
