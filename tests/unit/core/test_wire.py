"""The JSON form of what travels, however deep the values in it are nested."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.reading import read_session
from agentic_core.resources import AgenticSession
from agentic_core.wire import ApiModel
from tests.support.raw_sessions import a_raw_session, an_interrupt

VALUES = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3), st.lists, max_leaves=8)


def nest(depth: int, value: Any = 1) -> Any:
    for level in range(depth):
        value = [value, None] if level % 2 else {"a": value}
    return value


def a_session(value: Any) -> dict[str, Any]:
    question = an_interrupt("q", value, options=[{"label": "l", "value": value}], askedAt="2026-05-01T10:01:00Z")
    status = {
        "phase": "WaitingForInput",
        "run": 1,
        "interrupts": [question],
        "answers": [{"interruptId": "p", "by": "jane", "value": value, "at": "2026-05-01T10:01:00Z"}],
        "result": value,
        "startTime": "2026-05-01T10:01:00Z",
    }
    return a_raw_session(status=status, inputs=value)


@pytest.mark.parametrize("depth", [10, 250, 260, 900])
def test_deep_values_come_back_as_they_were(depth: int) -> None:
    value = nest(depth)
    session = read_session(a_session(value)).session
    wire = session.status.to_wire()
    assert wire["result"] == value
    assert wire["interrupts"][0]["value"] == wire["answers"][0]["value"] == value
    assert wire["interrupts"][0]["options"] == [{"label": "l", "value": value}]
    assert session.to_wire()["spec"]["inputs"] == value
    # Nothing else is spelled in another way than where all is shallow.
    shallow = read_session(a_session("shallow")).session.to_wire()
    assert strip(session.to_wire(), value) == strip(shallow, "shallow")


def strip(wire: Any, value: Any) -> Any:
    if wire == value:
        return "the value"
    if isinstance(wire, dict):
        return {name: strip(each, value) for name, each in wire.items()}
    return [strip(each, value) for each in wire] if isinstance(wire, list) else wire


@given(VALUES)
def test_both_ways_spell_the_same(value: Any) -> None:
    session = AgenticSession.model_validate(a_session(value))
    assert json.dumps(ApiModel._spell_fields(session), sort_keys=True) == json.dumps(session.to_wire(), sort_keys=True)
