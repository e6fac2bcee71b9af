"""Observes a session before a pass decides: its definition, children, inputs, answers, turns and questions."""

from dataclasses import replace
from datetime import datetime

from agentic_core.errors import Problem
from agentic_core.input_rules import find_unknown_keys
from agentic_core.resources import AgenticSession
from agentic_operator.cache.reads import workflow_of
from agentic_operator.controllers.dependencies import Dependencies
from agentic_operator.controllers.schema_checker import find_input_problems
from agentic_operator.controllers.turn_checks import TurnChecks
from agentic_operator.kube.client import Json
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.admission import (
    Refused,
    check_fork,
    find_input_rules,
    has_fork_inputs,
    list_input_problems,
    measure_inputs,
    refuse_inputs,
)
from agentic_operator.sessions.answers import AnswerChecks, find_checks, find_managers
from agentic_operator.sessions.decide import needs_input_check, wants_end
from agentic_operator.sessions.keys import SessionKey
from agentic_operator.sessions.observation import Observation, find_pending


class SessionObserver:
    """Observes one session at a time, and remembers which questions each of them had."""

    def __init__(self, parts: Dependencies) -> None:
        self._parts = parts
        self._index = parts.index
        self._turn_checks = TurnChecks(parts.checker, parts.turns)
        self._asked: dict[SessionKey, tuple[str, frozenset[str]]] = {}
        """The questions of each session that has begun and not ended, by its uid, as its last pass found them."""

    async def look(self, key: SessionKey, session: AgenticSession) -> Observation:
        """Return the session's definition and children, and whether its inputs are refused."""
        # Stopping needs nothing of the definition, and must work even if the definition cannot be read.
        definition = None if wants_end(session) else await self._parts.lookup.fetch_definition(workflow_of(session))
        await self._parts.lookup.refresh_children(session, key)
        refused: Refused | None = None
        warning = ""
        jobs = self._index.jobs_of(key, session.metadata.uid)
        if not find_pending(session, jobs) and needs_input_check(session, definition, self._parts.rules):
            refused, warning = await self._check_inputs(session, definition)
        pods = self._index.pods_of(key)
        return Observation(
            definition=definition,
            jobs=jobs,
            pods=pods,
            refused_inputs=refused,
            input_warning=warning,
            stuck_pod=self._parts.stuck_pods.find(key, jobs, pods),
        )

    async def check(
        self, key: SessionKey, session: AgenticSession, body: Json, seen: Observation, now: datetime
    ) -> Observation:
        """Add what needs a time: answers and turns as they are judged ``now``, and how far the trail is stored."""
        seen = replace(seen, managers=find_managers(body.get("metadata", {}).get("managedFields")))
        if not wants_end(session) and (session.spec.responses or session.spec.input_deadline is not None):
            seen = replace(seen, answers=await self._check_answers(session, now))
        if session.is_conversation and session.metadata.deletion_timestamp is None:
            seen = await self._turn_checks.look(session, seen)
        seen = replace(seen, fresh=self._find_fresh(key, session))
        if self._parts.trails is not None:
            self._parts.trails.submit(session)
            seen = replace(seen, stored=self._parts.trails.find(session.metadata.uid))
        return seen

    async def _check_inputs(self, session: AgenticSession, definition: Definition | None) -> tuple[Refused | None, str]:
        """Return why the inputs are refused, and a warning of what in them nobody reads."""
        if session.spec.fork_from is not None:
            refused_fork = check_fork(session, definition)
            if refused_fork is not None or not has_fork_inputs(session):
                return refused_fork, ""
        too_large = measure_inputs(session)
        if too_large is not None or definition is None:
            return too_large, ""
        rules = find_input_rules(session, definition)
        refused = refuse_inputs(await find_input_problems(self._parts.checker, rules, session.spec.inputs))
        return refused, list_input_problems(find_unknown_keys(rules, session.spec.inputs))

    async def _check_answers(self, session: AgenticSession, now: datetime) -> AnswerChecks:
        checker = self._parts.checker
        faults: dict[tuple[str, str], tuple[Problem, ...]] = {}
        default_faults: dict[str, tuple[Problem, ...]] = {}
        for check in find_checks(session, now):
            found = await checker.check_instance(check.schema, check.value)
            if found and await checker.check_schema(check.schema):
                # The author's schema is invalid: it must not keep the session waiting for ever.
                continue
            problems = tuple(Problem(fault.pointer, fault.message) for fault in found)
            if check.is_default:
                default_faults[check.interrupt_id] = problems
            else:
                faults[check.interrupt_id, check.by] = problems
        return AnswerChecks(faults, default_faults)

    def _find_fresh(self, key: SessionKey, session: AgenticSession) -> frozenset[str]:
        """Return the questions asked since this process's last pass over the session; none before its first pass."""
        uid, known = self._asked.get(key, ("", frozenset()))
        if uid != session.metadata.uid:
            return frozenset()
        return frozenset(each.id for each in session.status.interrupts) - known

    def remember(self, key: SessionKey, session: AgenticSession) -> None:
        """Remember the questions of a session whose pass was carried out."""
        phase = session.status.phase
        if phase is None or phase.is_final or session.metadata.deletion_timestamp is not None:
            self._asked.pop(key, None)
        else:
            self._asked[key] = session.metadata.uid, frozenset(each.id for each in session.status.interrupts)

    def forget(self, key: SessionKey) -> None:
        """Forget a deleted session."""
        self._asked.pop(key, None)
