"""Which results belong into the row, and which rows are references."""

from pathlib import Path
from typing import Any

import pytest

from agentic_core.errors import OutputTooLarge
from agentic_runner import results
from agentic_runner.config import RunConfig, TokenSource
from agentic_runner.drain import Drain
from agentic_runner.results import ResultSaver, UploadInterrupted
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


def a_keeper(**changes: Any) -> ResultSaver:
    return ResultSaver(a_config(**changes), Drain(), lambda _: None)


@pytest.mark.parametrize("value", [{"a": [1, "ä", None]}, "x" * 40_000, float("nan")])
async def test_a_result_for_the_row_is_the_same_as_encoded_at_once(value: object) -> None:
    kept = await a_keeper().keep(value)
    assert kept.output == encode_output(value)
    assert (kept.result.size, kept.result.sha256) == (kept.output.size, kept.output.sha256)
    assert kept.result.is_inline == (kept.output.size <= 32 * 1024)


@pytest.mark.parametrize(("value", "is_inline"), [(2**63 - 1, True), (1e22, True), (2**63, False), ([-(2**70)], False)])
async def test_a_number_that_the_api_server_would_round_stays_in_the_row(value: object, is_inline: bool) -> None:
    kept = await a_keeper().keep({"n": value})
    assert kept.result.is_inline is is_inline
    assert kept.result.value == ({"n": value} if is_inline else None)
    assert kept.output.value() == {"n": value}
    assert kept.result.url.startswith("db://")


async def test_without_a_store_what_is_too_large_is_refused_and_mostly_never_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results, "MAX_OUTPUT_BYTES", 100)
    with pytest.raises(OutputTooLarge, match="output data exceeds 100MB limit"):
        await a_keeper().keep("x" * 98)
    assert (await a_keeper().keep("x" * 97)).output.size == 99


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
    told = a_keeper(result_store_dir=Path("unread")).describe(value)
    assert told.is_outside == is_reference
    assert told.value == (None if is_reference else value)


def test_a_source_stops_when_the_process_is_asked_to_end() -> None:
    drain = Drain()
    source = results._Source(OutputStream(["x" * 100]), drain)
    assert source.read(4) == b'["xx'
    drain.request("SIGTERM")
    with pytest.raises(UploadInterrupted, match="SIGTERM"):
        source.read(4)
