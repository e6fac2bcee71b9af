"""What of a run may be reported: nothing beyond its last saved checkpoint."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agentic_core.resources.session import HistoryEntry
from agentic_runner.execution.tracking import Progress
from agentic_runner.reporting.run_progress import RunProgress

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def entry(number: int) -> HistoryEntry:
    return HistoryEntry(id=f"c{number:03}", step=number, node=None, next=None, at=NOW)


def progress(steps: int, first: int = 1) -> Progress:
    history = tuple(entry(number) for number in range(first, steps + 1))
    return Progress(current_node="n", steps=steps, checkpoint_id=f"c{steps:03}" if steps else None, history=history)


def test_nothing_is_reported_before_it_is_saved() -> None:
    run = RunProgress()
    run.see(progress(3))
    assert (run.reportable.checkpoint_id, run.reportable.steps) == (None, 0)
    assert run.seen.steps == 3
    run.confirm("c002")
    assert (run.reportable.checkpoint_id, run.reportable.steps) == ("c002", 2)
    assert run.reportable.current_node == "n"


def test_a_confirmation_that_comes_late_takes_nothing_back() -> None:
    run = RunProgress()
    run.see(progress(3))
    run.confirm("c003")
    run.confirm("c001")
    assert run.reportable.checkpoint_id == "c003"


def test_checkpoints_of_earlier_runs_are_reported_with_those_of_this_one() -> None:
    run = RunProgress()
    run.recall((entry(1), entry(2)))
    run.start_at("c002")
    assert [each.id for each in run.reportable.history] == ["c001", "c002"]
    run.see(progress(3, first=3))
    assert [each.id for each in run.reportable.history] == ["c001", "c002"]
    run.confirm("c003")
    assert [each.id for each in run.reportable.history] == ["c001", "c002", "c003"]


def test_after_a_loss_only_what_is_left_is_known() -> None:
    run = RunProgress()
    run.see(progress(3))
    run.confirm("c003")
    run.take_answers(["q"])
    run.rewind((entry(1),))
    run.start_at("c001")
    assert [each.id for each in run.reportable.history] == ["c001"]
    assert (run.seen.steps, run.seen.checkpoint_id, run.answers_taken) == (0, None, frozenset())
    run.take_answers(["q"])
    assert run.answers_taken == {"q"}


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=40))
def test_no_order_of_news_reports_more_than_is_saved(news: list[tuple[bool, int]]) -> None:
    """Invariant: the checkpoint, the history and the steps reported are at most those of the last confirmed one."""
    run = RunProgress()
    saved, seen = 0, 0
    for is_saved, number in news:
        if is_saved:
            run.confirm(f"c{number:03}")
            saved = max(saved, number)
        else:
            seen = max(seen, number)
            run.see(progress(seen))
        shown = run.reportable
        assert (shown.checkpoint_id or "") <= f"c{saved:03}"
        assert all(each.id <= f"c{saved:03}" for each in shown.history)
        assert shown.steps == min(seen, saved)
