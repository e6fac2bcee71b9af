"""The numbers of a session's events, whatever is lost, whoever writes next."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agentic_store.event_numbers import compute_numbers


class Session(RuleBasedStateMachine):
    """A log, processes that write it one after the other, and a database that goes back now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, tuple[int, int] | None] = {}
        """What is there; of a gap, which numbers it tells of."""
        self.given: list[int] = []
        self.floor = 0
        self.status = 0

    @rule(count=st.integers(1, 5))
    def append(self, count: int) -> None:
        numbers = compute_numbers(max(self.rows, default=0), self.floor, count)
        if numbers.gap is not None:
            self.rows[numbers.gap] = numbers.missing
            self.given.append(numbers.gap)
        for number in range(numbers.first, numbers.last + 1):
            self.rows[number] = None
            self.given.append(number)
        self.floor = numbers.last

    @rule()
    def write_status(self) -> None:
        self.status = max(self.status, self.floor)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def lose_rows(self, data: st.DataObject) -> None:
        """A failover to a standby that lags: the newest rows are gone, and the writer goes on."""
        kept = data.draw(st.integers(0, max(self.rows)))
        self.rows = {number: told for number, told in self.rows.items() if number <= kept}

    @precondition(lambda self: self.status >= self.floor or max(self.rows, default=0) >= self.floor)
    @rule()
    def die(self) -> None:
        """The writer dies; what it gave is in the status or in the table, so the next one knows."""
        self.floor = max(self.status, max(self.rows, default=0))

    @invariant()
    def no_number_is_given_twice(self) -> None:
        assert self.given == sorted(set(self.given))

    @invariant()
    def whatever_is_missing_is_told_by_the_row_that_follows(self) -> None:
        before = 0
        for number in sorted(self.rows):
            if number != before + 1:
                assert self.rows[number] == (before + 1, number - 1)
            before = number


Session.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestNumbers = Session.TestCase
