"""What a project's settings of the long-term store and of its checkpoints mean, and which of them have no effect."""

from typing import Any

import pytest

from agentic_runner.project.memory import Index, Memory, ThreadTtl, Ttl, read_memory

EMBED = {"dims": 3, "embed": "./embed.py:embed"}


@pytest.mark.parametrize(
    "settings",
    [{}, {"graphs": {}}, {"store": None, "checkpointer": None}, {"store": {}}, {"store": {"index": None, "ttl": None}}],
)
def test_what_is_not_set_has_nothing_to_say(settings: dict[str, Any]) -> None:
    assert read_memory(settings) == Memory()


def test_settings_with_an_effect_are_read_and_none_of_them_is_named() -> None:
    settings = {
        "store": {
            "index": {**EMBED, "fields": ["text", "title"], "distance_type": "l2"},
            "ttl": {"default_ttl": 60, "refresh_on_read": False, "sweep_interval_minutes": 5, "omit_expired": False},
        },
        "checkpointer": {
            "ttl": {"strategy": "keep_latest", "default_ttl": 1.5, "sweep_interval_minutes": 10},
            "serde": {"allowed_msgpack_modules": [["app", "State"]]},
        },
    }
    assert read_memory(settings) == Memory(
        index=Index(3, "./embed.py:embed", ("text", "title"), "l2"),
        ttl=Ttl(60.0, refresh_on_read=False, omit_expired=False),
        checkpoint_ttl=ThreadTtl("keep_latest", 90),
    )


def test_what_langgraph_takes_as_given_is_taken_so() -> None:
    read = read_memory({"store": {"index": {**EMBED, "fields": "text"}, "ttl": {"default_ttl": 5}}})
    assert read.index == Index(3, "./embed.py:embed", ("text",))
    assert read.ttl == Ttl(5.0, refresh_on_read=True, omit_expired=True)
    assert read_memory({"checkpointer": {"ttl": {"default_ttl": 5}}}).checkpoint_ttl == ThreadTtl("delete", 300)
    # No time, no end.
    assert read_memory({"checkpointer": {"ttl": {"strategy": "delete"}}}) == Memory()


@pytest.mark.parametrize(
    ("settings", "pointer", "words"),
    [
        ({"store": {"path": "./s.py:make"}}, "/store/path", "operator's database"),
        ({"store": []}, "/store", "no object"),
        ({"store": {"a/b~": 1}}, "/store/a~1b~0", "no such setting"),
        ({"store": {"index": 7}}, "/store/index", "no object"),
        ({"store": {"index": {"embed": "x:y"}}}, "/store/index/dims", "None"),
        ({"store": {"index": {**EMBED, "dims": True}}}, "/store/index/dims", "True"),
        ({"store": {"index": {**EMBED, "dims": "3"}}}, "/store/index/dims", "'3'"),
        ({"store": {"index": {**EMBED, "dims": 16_001}}}, "/store/index/dims", "16,000"),
        ({"store": {"index": {"dims": 3}}}, "/store/index/embed", "provider:model"),
        ({"store": {"index": {**EMBED, "fields": [1]}}}, "/store/index/fields", "no list of paths"),
        ({"store": {"index": {**EMBED, "distance_type": "far"}}}, "/store/index/distance_type", "cosine"),
        ({"store": {"index": {**EMBED, "ann_index_config": {"kind": "hnsw"}}}}, "/store/index/ann_index_config", "all"),
        ({"store": {"ttl": {"default_ttl": 0}}}, "/store/ttl/default_ttl", "above 0"),
        ({"store": {"ttl": {"default_ttl": float("inf")}}}, "/store/ttl/default_ttl", "above 0"),
        ({"store": {"ttl": {"default_ttl": "1h"}}}, "/store/ttl/default_ttl", "'1h'"),
        ({"store": {"ttl": {"refresh_on_read": "no"}}}, "/store/ttl/refresh_on_read", "true or false"),
        ({"checkpointer": {"path": "./c.py:make"}}, "/checkpointer/path", "operator's database"),
        ({"checkpointer": {"ttl": {"default_ttl": 5, "strategy": "x"}}}, "/checkpointer/ttl/strategy", "keep_latest"),
        ({"checkpointer": {"ttl": {"default_ttl": 5, "sweep_limit": 7}}}, "/checkpointer/ttl/sweep_limit", "steps"),
        ({"checkpointer": {"ttl": {"default_tll": 5}}}, "/checkpointer/ttl/default_tll", "no such setting"),
    ],
)
def test_what_has_no_effect_is_named_with_its_place_and_the_remedy(
    settings: dict[str, Any], pointer: str, words: str
) -> None:
    (ignored,) = read_memory(settings).ignored
    assert ignored.setting == pointer
    assert words in ignored.message


def test_an_index_with_a_flaw_is_one_that_is_asked_for_and_does_not_work() -> None:
    read = read_memory({"store": {"index": {"dims": 0, "embed": "x:y"}}})
    assert read.index is None
    assert read.flaw is not None
    assert read.flaw.startswith("/store/index/dims: it is 0")
