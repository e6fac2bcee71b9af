"""What a pass finds out about turns in the database, and what it knows where that does not answer."""

from typing import Any, cast

import pytest

from agentic_core.errors import DatabaseUnavailable
from agentic_core.lifecycle import Phase
from agentic_operator.controllers.turn_checks import TurnChecks
from agentic_operator.sessions.observation import Observation
from tests.support.builders import a_job, a_pod, a_session

ON = {"name": "a", "number": 1, "by": "ann"}


class Rows:
    """The rows of turns, of a database that may be away."""

    def __init__(self, *, is_away: bool) -> None:
        self.is_away = is_away
        self.asked = 0

    async def find_end(self, session_uid: str, number: int) -> None:
        assert (session_uid, number) == ("uid-s", 1)
        self.asked += 1
        if self.is_away:
            raise DatabaseUnavailable("away")


@pytest.mark.parametrize("is_away", [True, False])
@pytest.mark.parametrize("is_alive", [True, False])
async def test_an_end_is_unknown_where_the_database_does_not_say_and_no_run_lives_to_tell(
    is_away: bool, is_alive: bool
) -> None:
    built = a_session().with_spec(mode="Conversation", turns=[{"name": "a"}]).accepted(Phase.RUNNING)
    session = built.with_status(turn=ON, turnCount=1, turns=[{**ON, "phase": "Running"}]).build()
    rows = Rows(is_away=is_away)
    seen = Observation(jobs=(a_job(),), pods=(a_pod(phase="Running"),)) if is_alive else Observation()
    found = await TurnChecks(cast("Any", None), cast("Any", rows)).look(session, seen)
    assert found.is_end_unknown is (is_away and not is_alive)
    assert rows.asked == (0 if is_alive else 1)
    assert found.stored_end is None
