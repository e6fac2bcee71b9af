"""``turn``, ``cancel`` and ``history``: the turns of a conversation, one by one."""

from typing import Any, Final

import click

from agentic_cli.commands.completions import complete_checkpoints, complete_sessions, complete_turns
from agentic_cli.commands.definitions import find_definition, find_derived, find_graph, find_rules
from agentic_cli.commands.options import (
    no_answer_option,
    output_option,
    require_following,
    target_options,
    timeout_option,
)
from agentic_cli.inputs.checks import require_acceptable, require_small
from agentic_cli.inputs.given import build_given, given_options
from agentic_cli.inputs.messages import add_message
from agentic_cli.inputs.values import build_inputs
from agentic_cli.interaction.conversation import show_end
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project, Target
from agentic_cli.interaction.turns import NewTurn, cancel_turn, follow_turn
from agentic_cli.interaction.watching import QuietView, choose_dialogue
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.kinds import SESSIONS
from agentic_cli.model.manifests import find_checkpoint
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import (
    find_current,
    list_pending,
    list_turns,
    require_conversation,
    require_open,
    require_turn,
)
from agentic_cli.output import terminal
from agentic_cli.output.conversation import HEADER, build_object, build_row, describe_history
from agentic_cli.output.durations import utc_now
from agentic_core.errors import PermanentError
from agentic_core.input_rules import InputRules

_PREEMPT: Final = {"interrupt": "Interrupt", "rollback": "Rollback"}


@click.command()
@click.argument("session", shell_complete=complete_sessions)
@click.option("-m", "--message", metavar="TEXT", help="What is said, if the workflow takes messages or one text.")
@click.option(
    "-f", "--file", "--inputs", "source", metavar="FILE", type=click.Path(), help="Inputs as JSON or YAML; - is stdin."
)
@click.option(
    "-p", "--param", "--input", "pairs", metavar="KEY=VALUE", multiple=True, help="One input; may be repeated."
)
@click.option("--no-input", is_flag=True, help="No inputs: go on from the checkpoint, as LangGraph does with None.")
@click.option("--goto", metavar="NODE", multiple=True, help="Run this node next, instead of new inputs.")
@click.option("--update", "updates", metavar="KEY=VALUE", multiple=True, help="A state value that a command sets.")
@click.option(
    "--from-checkpoint",
    "checkpoint",
    metavar="ID",
    shell_complete=complete_checkpoints,
    help="Go on from there, as a branch, by its id or the beginning of it. [default: the last one]",
)
@click.option(
    "--preempt",
    type=click.Choice(list(_PREEMPT), case_sensitive=False),
    help="End the turn that is on first; `rollback` also leaves out what it did.",
)
@given_options
@click.option("--wait", is_flag=True, help="Wait for the turn to end, and print its reply.")
@timeout_option("How long to wait:")
@no_answer_option
@output_option("json", "yaml", "name")
@target_options
def turn(
    target: Target,
    session: str,
    message: str | None,
    source: str | None,
    pairs: tuple[str, ...],
    no_input: bool,
    goto: tuple[str, ...],
    updates: tuple[str, ...],
    checkpoint: str | None,
    preempt: str | None,
    configs: tuple[str, ...],
    config_file: str | None,
    contexts: tuple[str, ...],
    context_file: str | None,
    recursion_limit: int | None,
    wait: bool,
    timeout: float | None,
    no_answer: bool,
    output: str | None,
) -> int:
    """Add one turn to the conversation SESSION.

    It has inputs (--message, --file, -p), or a command (--goto, --update), or --no-input. Turns run one after the
    other, each from where the last one ended. -o name prints the turn's name, which `agentic cancel` and
    `agentic result --turn` take.

    With --wait the exit status is 0 for Completed, 1 for Failed, 3 for Canceled, 4 if it waits for an answer and
    nobody gives one here, 124 after --timeout.

    \b
    Examples:
      agentic turn support-x7k2p -m 'and now in French' --wait
      agentic turn report-x7k2p -p dataset=cars -c user_id=ann
      agentic turn support-x7k2p --goto review --update approved=true
      agentic turn support-x7k2p -m 'no, the other one' --preempt rollback
    """
    require_following({"wait": wait, "timeout": timeout, "no_answer": no_answer}, "--wait", "wait")
    with target.open() as project:
        found = project.fetch_session(project.name_session(session))
        require_open(found)
        definition, graph = find_definition(project, found), find_graph(found)
        rules = find_rules(definition, graph)
        parts: dict[str, Any] = build_given(
            {},
            configs=configs,
            config_file=config_file,
            contexts=contexts,
            context_file=context_file,
            recursion_limit=recursion_limit,
            status=find_derived(definition, graph),
        )
        parts |= {
            "fromCheckpoint": find_checkpoint(found, checkpoint) if checkpoint else None,
            "preempt": _PREEMPT[preempt] if preempt else None,
        }
        parts |= _build_what(rules, message, source, pairs, goto, updates, no_input=no_input)
        adding = NewTurn(project, found.name, **parts)
        changed = adding.add(found)
        if not wait:
            _print(changed, adding.name, output, f"turn {adding.name} added")
            return ExitStatus.COMPLETED
        return _wait(project, changed, adding.name, Clock.with_timeout(timeout), output, may_answer=not no_answer)


def _build_what(
    rules: InputRules,
    message: str | None,
    source: str | None,
    pairs: tuple[str, ...],
    goto: tuple[str, ...],
    updates: tuple[str, ...],
    *,
    no_input: bool,
) -> dict[str, Any]:
    """Return ``input`` or ``command`` of a turn, or neither; raise ``UsageError`` for none and for several."""
    has_input, has_command = message is not None or source is not None or bool(pairs), bool(goto or updates)
    if has_input + has_command + no_input != 1:
        raise click.UsageError("give inputs (--message, --file, -p), or a command (--goto, --update), or --no-input")
    if no_input:
        return {}
    if has_command:
        command: dict[str, Any] = {"goto": goto[0] if len(goto) == 1 else list(goto)} if goto else {}
        command |= {"update": build_inputs({}, updates, None)} if updates else {}
        return {"command": command}
    value = None
    if source is not None:
        from agentic_cli.inputs.documents import read_document

        value = read_document(source)
    if pairs:
        value = build_inputs(value, pairs, rules.form, is_strict=rules.is_declared)
    if message is not None:
        value = add_message(rules.form, value, message)
    require_small(value)
    require_acceptable(value, rules)
    return {"input": value}


def _wait(
    project: Project, session: Session, name: str, clock: Clock, output: str | None, *, may_answer: bool
) -> ExitStatus:
    try:
        status, last = follow_turn(
            project,
            session.name,
            name,
            QuietView(),
            clock,
            dialogue=choose_dialogue(may_answer=may_answer),
            may_answer=may_answer,
        )
    except KeyboardInterrupt:
        terminal.note(f"the turn goes on: agentic cancel {session.name} {name} -n {session.namespace}")
        return ExitStatus.INTERRUPTED
    if output is None:
        show_end(last, name)
    else:
        _print(last, name, output, "")
    return status


def _print(session: Session, name: str, output: str | None, told: str) -> None:
    match output:
        case "json":
            terminal.print_json(build_object(session, require_turn(session, name)))
        case "yaml":
            terminal.print_yaml(build_object(session, require_turn(session, name)))
        case "name":
            terminal.say(name)
        case _:
            terminal.say(f"{SESSIONS.singular}/{session.name} {told}")


@click.command()
@click.argument("session", shell_complete=complete_sessions)
@click.argument("turn", required=False, shell_complete=complete_turns)
@target_options
def cancel(target: Target, session: str, turn: str | None) -> None:
    """End the turn that is on, or the one named, as Canceled. The conversation goes on.

    What the turn has saved stays; `agentic turn --preempt rollback` leaves it out.

    \b
    Examples:
      agentic cancel support-x7k2p
      agentic cancel support-x7k2p t0004
    """
    with target.open() as project:
        found = project.fetch_session(project.name_session(session))
        require_conversation(found)
        name = turn or _find_current(found)
        canceled = cancel_turn(project, found.name, name)
    told = f"{canceled.phase} already" if canceled.is_over else "canceling"
    terminal.say(f"{SESSIONS.singular}/{found.name} turn {canceled.name} {told}")


def _find_current(session: Session) -> str:
    current, pending = find_current(session), list_pending(session)
    if current is not None:
        return current.name
    if len(pending) == 1:
        return pending[0].name
    waiting = f"; {', '.join(each.name for each in pending)} wait: say which" if pending else ""
    raise PermanentError(f"no turn of session {session.name!r} is on: it is {session.phase}{waiting}")


@click.command()
@click.argument("session", shell_complete=complete_sessions)
@output_option("text", "table", "json", "yaml", "name", default="text")
@target_options
def history(target: Target, session: str, output: str) -> None:
    """Show what was said and answered in a conversation, or its turns.

    The last 20 turns that are over are kept, with the result of the last one; that of a workflow of messages holds the
    whole conversation.

    \b
    Examples:
      agentic history support-x7k2p
      agentic history support-x7k2p -o table
      agentic history support-x7k2p -o json | jq -r '.[] | select(.phase == "Failed") | .name'
    """
    with target.open() as project:
        found = project.fetch_session(project.name_session(session))
    require_conversation(found)
    turns = list_turns(found)
    match output:
        case "json":
            terminal.print_json([build_object(found, each) for each in turns])
        case "yaml":
            terminal.print_yaml([build_object(found, each) for each in turns])
        case "name":
            for each in turns:
                terminal.say(each.name)
        case _ if not turns:
            terminal.note(f"nothing was said in {found.name!r} yet: agentic turn {found.name} -m TEXT")
        case "table":
            terminal.print_table(HEADER, [build_row(each, utc_now()) for each in turns])
        case _:
            for line in describe_history(found):
                terminal.say(line)
