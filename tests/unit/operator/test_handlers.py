"""The short way from Kopf's watches to our functions: there with the installed Kopf, and gone afterwards."""

import logging
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from kopf._core.reactor import processing

from agentic_operator import handlers
from agentic_operator.handlers import has_short_way, shortened


@pytest.fixture
def restored() -> Iterator[None]:
    before = processing.process_resource_event
    yield
    assert processing.process_resource_event is before


def an_event(**metadata: Any) -> dict[str, Any]:
    return {
        "resource": SimpleNamespace(group="batch", plural="jobs"),
        "raw_event": {"type": "ADDED", "object": {"metadata": metadata}},
        "registry": None,
        "stream_pressure": None,
    }


def test_the_installed_kopf_lets_us_take_the_short_way() -> None:
    assert has_short_way()


@pytest.mark.usefixtures("restored")
async def test_events_go_to_the_function_of_their_kind_and_one_that_fails_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen = []

    def take(kind: str | None, raw: Mapping[str, Any]) -> None:
        seen.append((kind, raw["metadata"]["name"]))

    with shortened({("batch", "jobs"): take}):
        process: Any = processing.process_resource_event
        assert await process(**an_event()) is None
        assert await process(**an_event(name="j")) is None
    assert seen == [("ADDED", "j")]
    assert [record.getMessage() for record in caplog.records] == ["an event of jobs could not be handled"]


@pytest.mark.usefixtures("restored")
def test_another_kopf_takes_its_own_way_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(handlers, "has_short_way", lambda: False)
    before = processing.process_resource_event
    with caplog.at_level(logging.WARNING), shortened({}):
        assert processing.process_resource_event is before
    assert "takes its own way" in caplog.text
