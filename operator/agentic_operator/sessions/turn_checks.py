"""Whether a turn may begin: what it asks for, with which runner, and whether its name was used before. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agentic_core.conditions import Reason
from agentic_core.contract import MAX_TURN_INPUT_BYTES, TURNS_CONTRACT
from agentic_core.errors import Problem
from agentic_core.resources import AgenticSession, RunDefaults, Turn, WorkflowSnapshot
from agentic_core.run_settings import add_settings, find_context_problems, find_settings_problems, merge_settings
from agentic_core.strict_json import JsonRefused, encode_json, find_wide_number, parse_strict_json
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.admission import Refused, Waits, is_inspected, list_problems
from agentic_operator.sessions.diagnosis import clip


@dataclass(frozen=True)
class TurnCheck:
    """What was found out about the turn that could begin: its name, and why it does not, where that is so."""

    name: str
    refused: Refused | None = None
    waits: Waits | None = None


def find_pointer(session: AgenticSession, turn: Turn) -> str:
    """Return where a turn stands, as a JSON pointer."""
    index = next((index for index, each in enumerate(session.spec.turns) if each.name == turn.name), 0)
    return f"/spec/turns/{index}"


def refuse_used_name(session: AgenticSession, turn: Turn) -> Refused:
    """Return the refusal of a turn whose name another turn had, which is not shown any more."""
    return Refused(
        Reason.TURN_NAME_USED,
        f"{find_pointer(session, turn)}/name: a turn {turn.name!r} ran before; give the new one a name of its own",
    )


def refuse_turn_input(session: AgenticSession, turn: Turn, problems: Iterable[Problem]) -> Refused | None:
    """Return the refusal that names every problem of a turn's input; None for no problem."""
    place = f"{find_pointer(session, turn)}/input"
    message = list_problems(Problem(f"{place}{problem.pointer}", problem.message) for problem in problems)
    return Refused(Reason.INVALID_INPUT, message) if message else None


def check_contract(snapshot: WorkflowSnapshot, session: AgenticSession) -> Refused | None:
    """Return the refusal of a workflow whose runner takes no turns."""
    if not session.is_conversation or (snapshot.runner_contract or 1) >= TURNS_CONTRACT:
        return None
    ref = session.spec.workflow_ref
    return Refused(
        Reason.RUNNER_TOO_OLD,
        f"/spec/mode: the image of {ref.kind} {ref.name!r} has a runner that takes no turns (contract"
        f" {snapshot.runner_contract or 1}, conversations need {TURNS_CONTRACT}); build it anew on the current base"
        " image",
    )


def check_turn(
    session: AgenticSession, turn: Turn, snapshot: WorkflowSnapshot, definition: Definition | None
) -> Refused | None:
    """Return the refusal of a turn that no graph may be given, or that its workflow does not take."""
    place = find_pointer(session, turn)
    problems = [*_find_shape_problems(turn, place), *_find_ruled(session, turn, snapshot, place)]
    if problems:
        return Refused(Reason.INVALID_TURN, list_problems(problems))
    found = find_settings_problems(turn.config, turn.context, place)
    if not found and definition is not None and is_inspected(session, definition):
        found = tuple(
            Problem(f"{place}{each.pointer.removeprefix('/spec')}", each.message)
            for each in _find_context_problems(session, turn, snapshot, definition)
        )
    return Refused(Reason.INVALID_CONFIG, list_problems(found)) if found else None


def _find_shape_problems(turn: Turn, place: str) -> list[Problem]:
    if turn.has_input and turn.command is not None:
        return [Problem(place, "a turn has an input or a command, not both; leave one of them out")]
    name, value = ("command", turn.command.to_wire()) if turn.command is not None else ("input", turn.input)
    try:
        if turn.command is not None:
            _ = turn.command.nodes
        parse_strict_json(encode_json(value), max_bytes=MAX_TURN_INPUT_BYTES, unique_keys=False)
    except JsonRefused as refused:
        return [Problem(f"{place}/{name}{refused.pointer}", clip(refused.message))]
    except ValueError as error:
        return [Problem(f"{place}/command/goto", str(error))]
    wide = find_wide_number(value)
    return [Problem(f"{place}/{name}{wide.pointer}", clip(wide.message))] if wide is not None else []


def _find_ruled(session: AgenticSession, turn: Turn, snapshot: WorkflowSnapshot, place: str) -> list[Problem]:
    """Return why a turn would get around an approval rule, of its definition or of a question that was asked.

    A command and a checkpoint are states of the writer's choice, also behind a question that somebody else has to
    answer. A rule about whoever asked needs to know who that is: whoever goes on with a turn of somebody else would
    ask its questions, and that person could answer them. Which questions those are, and whether one has such a rule of
    its own, nobody knows of a turn that did not come to its end.
    """
    rule = (snapshot.spec or {}).get("approval")
    found = []
    is_asked = any(each.rule.not_creator for each in session.status.approvals)
    if not turn.has_input and turn.command is None:
        begun = [each for each in session.status.turns if each.number is not None and each.name != turn.name]
        last = max(begun, key=lambda each: each.number or 0, default=None)
        is_ruled = is_asked or bool((rule or {}).get("notCreator"))
        if last is not None and last.by != turn.by and (is_ruled or last.phase != "Completed"):
            message = (
                f"without an input it goes on with turn {last.name!r} of {last.by or 'nobody in particular'}, whose"
                " questions may be for somebody else to answer: have that author go on, or give an input"
            )
            found.append(Problem(place, message))
    if rule is None and not session.status.approvals:
        return found
    whose = (
        "the workflow has an approval rule" if rule is not None else "a question here had an approval rule of its own"
    )
    for field, is_given in (
        ("command", turn.command is not None),
        ("fromCheckpoint", turn.from_checkpoint is not None),
    ):
        if is_given:
            message = f"{whose}, and this could go on behind such a question that nobody answered for it; give an input"
            found.append(Problem(f"{place}/{field}", message))
    if (rule or {}).get("notCreator") and not turn.by:
        message = (
            "questions of this workflow are not answered by whoever asked for it, so the turn has to say who that is:"
            " write your name, as the API server knows you (kubectl auth whoami)"
        )
        found.append(Problem(f"{place}/by", message))
    return found


def _find_context_problems(
    session: AgenticSession, turn: Turn, snapshot: WorkflowSnapshot, definition: Definition
) -> tuple[Problem, ...]:
    said = RunDefaults.model_validate((snapshot.spec or {}).get("defaults") or {})
    own = merge_settings(said.config, said.context, session.spec.config, session.spec.context)
    return find_context_problems(definition.status.context_schema, add_settings(own, turn.config, turn.context))


NAMES_UNKNOWN: Final = Waits(
    Reason.DATABASE_UNAVAILABLE,
    "whether the next turn's name was used before is in the database, which does not answer; it begins once it does",
)
