"""Checks the next turn of a conversation, and reads the stored end of a turn whose runner is gone."""

import logging
from dataclasses import replace

from agentic_core.errors import AgenticError
from agentic_core.resources import AgenticSession, Turn
from agentic_operator.controllers.schema_checker import Checker, find_input_problems
from agentic_operator.database.turn_rows import TurnRecorder
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.admission import find_input_rules
from agentic_operator.sessions.observation import Observation, has_living_run
from agentic_operator.sessions.turn_checks import NAMES_UNKNOWN, TurnCheck, refuse_turn_input, refuse_used_name
from agentic_operator.sessions.turns import find_candidate, has_ended
from agentic_store.records import TurnRow

logger = logging.getLogger(__name__)


class TurnChecks:
    """Adds to an observation the check of the next turn and the stored end of the current one."""

    def __init__(self, checker: Checker, turns: TurnRecorder | None) -> None:
        self._checker = checker
        self._turns = turns

    async def look(self, session: AgenticSession, seen: Observation) -> Observation:
        """Return the observation with the checks of the conversation's turns."""
        candidate = None if session.spec.suspend or session.spec.stop else find_candidate(session)
        if candidate is not None:
            seen = replace(seen, turn=await self._check(session, candidate, seen.definition))
        try:
            return replace(seen, stored_end=await self._find_end(session, seen))
        except AgenticError as error:
            logger.info("reading the stored end of a turn failed: %s", error, extra=_about(session))
            return replace(seen, is_end_unknown=True)

    async def _check(self, session: AgenticSession, turn: Turn, definition: Definition | None) -> TurnCheck:
        status = session.status
        shown = sum(each.number is not None for each in status.turns)
        if self._turns is not None and (status.turn_count or 0) > shown:
            # Some turns were pruned from the status: the database knows their names.
            try:
                used = await self._turns.find_used_names(session.metadata.uid, [turn.name])
            except AgenticError as error:
                logger.info("reading the used turn names failed: %s", error, extra=_about(session))
                return TurnCheck(turn.name, waits=NAMES_UNKNOWN)
            if turn.name in used:
                return TurnCheck(turn.name, refused=refuse_used_name(session, turn))
        if definition is None or turn.command is not None or not turn.has_input:
            return TurnCheck(turn.name)
        rules = find_input_rules(session, definition)
        problems = await find_input_problems(self._checker, rules, turn.input)
        return TurnCheck(turn.name, refused=refuse_turn_input(session, turn, problems))

    async def _find_end(self, session: AgenticSession, seen: Observation) -> TurnRow | None:
        turn = session.status.turn
        if self._turns is None or turn is None or has_ended(session) or has_living_run(session, seen):
            return None
        return await self._turns.find_end(session.metadata.uid, turn.number)


def _about(session: AgenticSession) -> dict[str, str]:
    return {"namespace": session.namespace, "session": session.name}
