"""Which settings of a project have no effect here, and that each comes with its remedy."""

from typing import Any

import pytest

from agentic_runner.ignored import find_ignored


def test_a_setting_without_effect_is_named_by_its_pointer() -> None:
    found = find_ignored({"graphs": {}, "checkpointer": {"path": "./mine.py:saver"}})
    assert [each.setting for each in found] == ["/checkpointer/path"]
    assert "operator's database" in found[0].message


@pytest.mark.parametrize("settings", [{}, {"graphs": {}}, {"checkpointer": None}, {"checkpointer": {"path": None}}])
def test_what_is_not_set_is_not_named(settings: dict[str, Any]) -> None:
    assert find_ignored(settings) == []
