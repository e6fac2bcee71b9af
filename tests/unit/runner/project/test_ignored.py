"""Which settings of a project have no effect here, and that each comes with its remedy."""

import typing
from typing import Any

import pytest
from langgraph_cli import config as cli_config
from langgraph_cli.schemas import Config

from agentic_runner.project.ignored import KNOWN_SETTINGS, find_ignored


def _settings(document: dict[str, Any]) -> list[str]:
    return [each.setting for each in find_ignored(document)]


def test_every_setting_of_the_langgraph_cli_is_known() -> None:
    known = {*typing.get_type_hints(Config), *cli_config._KNOWN_CONFIG_KEYS} - {"_INTERNAL_docker_tag"}
    assert known <= KNOWN_SETTINGS


def test_a_setting_without_effect_is_named_by_its_pointer_with_the_remedy() -> None:
    found = find_ignored({"graphs": {}, "checkpointer": {"serde": {"pickle_fallback": True}}})
    assert [each.setting for each in found] == ["/checkpointer/serde/pickle_fallback"]
    assert "msgpack" in found[0].message


@pytest.mark.parametrize("name", ["auth", "http", "ui", "ui_config", "webhooks", "encryption", "priority"])
def test_what_only_langgraphs_server_does_is_named(name: str) -> None:
    assert _settings({"graphs": {}, name: {"path": "./x.py:y"}}) == [f"/{name}"]


@pytest.mark.parametrize(
    "settings",
    [{}, {"graphs": {}}, {"checkpointer": None}, {"checkpointer": {"path": None}}, {"auth": {}, "http": None}],
)
def test_what_is_not_set_is_not_named(settings: dict[str, Any]) -> None:
    assert find_ignored(settings) == []


def test_settings_of_the_build_need_no_word() -> None:
    build: dict[str, Any] = {
        "$schema": "https://example.com/schema.json",
        "python_version": "3.12",
        "dependencies": ["."],
        "env": ".env",
        "dockerfile_lines": ["RUN true"],
        "pip_installer": "uv",
        "keep_pkg_tools": True,
        "image_distro": "wolfi",
        "source": {"kind": "uv"},
    }
    assert _settings(build) == []


def test_a_misspelt_setting_is_named_with_the_one_that_it_resembles() -> None:
    found = find_ignored({"dependancies": ["."], "entirely~other/thing": 1})
    assert [each.setting for each in found] == ["/dependancies", "/entirely~0other~1thing"]
    assert "'dependencies'" in found[0].message


def test_graphs_in_javascript_are_named_beside_those_in_python() -> None:
    graphs = {"py": "./a.py:g", "an agent": "./src/agent.ts:graph", "js": {"path": "./b.mjs:g"}}
    assert _settings({"graphs": graphs}) == ["/graphs/an agent", "/graphs/js"]
