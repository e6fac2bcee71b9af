"""Which results belong into the row, and which rows are references."""

from pathlib import Path
from typing import Any

import pytest

from agentic_core.errors import OutputTooLarge
from agentic_runner.config import RunConfig, TokenSource
from agentic_runner.drain import Drain
from agentic_runner.reporting import results
from agentic_runner.reporting.results import ResultSaver, UploadInterrupted
from agentic_store.results.output import encode_output
from agentic_store.results.output_stream import OutputStream


def a_config(**changes: Any) -> RunConfig:
    given: dict[str, Any] = {
        "session_name": "report",
        "session_uid": "uid-1",
        "namespace": "team",
        "run": 1,
        "thread_id": "t",
        "job_name": "report-r1",
        "backend_url": "https://api",
        "token": TokenSource(value="token"),
        "api_ca_file": None,
    }
    return RunConfig(**(given | changes))


def a_saver(**changes: Any) -> ResultSaver:
    return ResultSaver(a_config(**changes), Drain(), lambda _: None)


@pytest.mark.parametrize("value", [{"a": [1, "ä", None]}, "x" * 40_000, float("nan")])
async def test_a_result_for_the_row_is_the_same_as_encoded_at_once(value: object) -> None:
    saved = await a_saver().save(value)
    assert saved.output == encode_output(value)
    assert (saved.result.size, saved.result.sha256) == (saved.output.size, saved.output.sha256)
    assert saved.result.is_inline == (saved.output.size <= 32 * 1024)


@pytest.mark.parametrize(("value", "is_inline"), [(2**63 - 1, True), (1e22, True), (2**63, False), ([-(2**70)], False)])
async def test_a_number_that_the_api_server_would_round_stays_in_the_row(value: object, is_inline: bool) -> None:
    saved = await a_saver().save({"n": value})
    assert saved.result.is_inline is is_inline
    assert saved.result.value == ({"n": value} if is_inline else None)
    assert saved.output.value() == {"n": value}
    assert saved.result.url.startswith("db://")


async def test_without_a_store_what_is_too_large_is_refused_and_mostly_never_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results, "MAX_OUTPUT_BYTES", 100)
    with pytest.raises(OutputTooLarge, match="output data exceeds 100MB limit"):
        await a_saver().save("x" * 98)
    assert (await a_saver().save("x" * 97)).output.size == 99


@pytest.mark.parametrize(
    ("value", "is_reference"),
    [
        pytest.param({"result_url": "s3://b/team/uid-1/r.json", "size": 9, "sha256": "0"}, True, id="its own"),
        pytest.param({"result_url": "s3://b/team/uid-2/r.json", "size": 9, "sha256": "0"}, False, id="another's"),
        pytest.param({"result_url": "https://b/team/uid-1/r", "size": 9, "sha256": "0"}, False, id="no object"),
        pytest.param({"result_url": "s3://b/team/uid-1/r.json", "size": 9}, False, id="not whole"),
        pytest.param([1], False, id="a list"),
    ],
)
def test_a_row_is_a_reference_only_to_an_object_of_its_own_session(value: Any, is_reference: bool) -> None:
    described = a_saver(result_store_dir=Path("unread")).describe(value)
    assert described.is_outside == is_reference
    assert described.value == (None if is_reference else value)


def test_a_source_stops_when_the_process_is_asked_to_end() -> None:
    drain = Drain()
    source = results._Source(OutputStream(["x" * 100]), drain)
    assert source.read(4) == b'["xx'
    drain.request("SIGTERM")
    with pytest.raises(UploadInterrupted, match="SIGTERM"):
        source.read(4)


class FakeStore:
    """Objects by key, as far as a saver uses them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def key(self, namespace: str, session_uid: str, name: str = "") -> str:
        return f"{namespace}/{session_uid}/{name}"

    def url(self, key: str) -> str:
        return f"s3://b/{key}"

    def abort_uploads(self, prefix: str) -> int:
        assert prefix.endswith("/")
        return 0

    def put(self, key: str, source: Any) -> None:
        self.objects[key] = source.read()

    def delete(self, prefix: str, *, keep: str = "") -> int:
        assert prefix.endswith("/")
        others = [key for key in self.objects if key.startswith(prefix) and key != keep]
        for key in others:
            del self.objects[key]
        return len(others)


async def test_large_results_of_turns_lie_apart_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore()
    monkeypatch.setattr(ResultSaver, "_open_store", lambda _: store)
    for turn in (1, 2, 2, 20):
        saver = ResultSaver(a_config(result_store_dir=Path("unread")), Drain(), lambda _: None, turn=turn)
        saved = await saver.save_outside([turn])
        await saver.remove_others(saved)
        assert saver.describe(saved.output.value()) == saved.result
    kept = sorted((key.split("/")[2], data) for key, data in store.objects.items())
    assert kept == [("turn-1", b"[1]"), ("turn-2", b"[2]"), ("turn-20", b"[20]")]


async def test_a_result_of_a_turn_is_in_its_row() -> None:
    saver = ResultSaver(a_config(), Drain(), lambda _: None, turn=7)
    assert (await saver.save("x" * 40_000)).result.url == "db://session_turns/team/report/7"
