"""``respond``: an answer to a question of a session."""

from typing import Any, Final

import click

from agentic_cli.commands.completions import complete_interrupts, complete_waiting
from agentic_cli.commands.options import output_option, print_object, target_options
from agentic_cli.inputs.questions import AskedQuestion, read_answer
from agentic_cli.interaction.answering import answer_question, describe_given
from agentic_cli.interaction.target import Target
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.kinds import SESSIONS
from agentic_cli.model.sessions import Session
from agentic_cli.output import terminal
from agentic_core.errors import PermanentError

MIN_PREFIX: Final = 6


@click.command()
@click.argument("session", metavar="SESSION", shell_complete=complete_waiting)
@click.argument("words", metavar="[ID] [VALUE]", nargs=-1, shell_complete=complete_interrupts)
@click.option(
    "-f", "--file", "source", metavar="FILE", type=click.Path(), help="The answer as JSON or YAML; - is stdin."
)
@click.option("--id", "id_", metavar="ID", help="The question, by its id or the beginning of it.")
@click.option("--replace", is_flag=True, help="Give another answer in place of one that was not taken yet.")
@output_option("json", "yaml", "name")
@target_options
def respond(
    target: Target,
    session: str,
    words: tuple[str, ...],
    source: str | None,
    id_: str | None,
    replace: bool,
    output: str | None,
) -> None:
    """Answer a question of a session that waits.

    The ID is that of the question (see `agentic get`) or its beginning; it is optional if only one question is open.
    VALUE is read by the question's schema or options, else as JSON if it is JSON, else as text; the answer is checked
    before it is sent. Without a VALUE you are asked, on a terminal. For a request of LangChain's human-in-the-loop
    middleware, `approve` and `reject` decide about all of its actions. If several people have to give the same answer,
    yours is recorded, and the exit status is 4 until enough of them have.

    \b
    Examples:
      agentic respond outliers-x7k2p approve
      agentic respond outliers-x7k2p '{"decision": "reject", "reason": "too many"}'
      agentic respond outliers-x7k2p 6f1e2a yes
      agentic respond outliers-x7k2p --id 6f1e2a yes
      agentic respond outliers-x7k2p -f answer.yaml
    """
    if len(words) + (id_ is not None) > (1 if source else 2):
        raise click.UsageError("give at most an ID and a VALUE, or an ID and --file")
    with target.open() as project:
        name = project.name_session(session)
        found = project.fetch_session(name)
        wanted, text = split_words(words, found, id_, has_file=source is not None)
        changed, question = answer_question(
            project, name, wanted, lambda question: _find_answer(question, text, source), replace=replace, session=found
        )
        missing, left = describe_given(changed, question, project.fetch_username())
    if output is not None:
        print_object(SESSIONS, changed.raw, output)
    elif left:
        terminal.say(
            terminal.printable(f"{SESSIONS.singular}/{name}: your answer to {question.id} is recorded; {missing}")
        )
    else:
        terminal.say(f"{SESSIONS.singular}/{name} answered {terminal.printable(question.id)}")
    if left:
        raise SystemExit(ExitStatus.WAITING)


def split_words(
    words: tuple[str, ...], session: Session, id_: str | None = None, *, has_file: bool
) -> tuple[str | None, str | None]:
    """Return the id and the value among the words.

    A single word is the value, unless it is a question's id or at least six characters of its beginning.
    """
    if id_ is not None:
        return id_, words[0] if words else None
    match words:
        case ():
            return None, None
        case (first, second):
            return first, second
        case (only,) if has_file or any(_names(only, each.id) for each in session.interrupts):
            return only, None
        case _:
            return None, words[0]


def _names(word: str, id_: str) -> bool:
    return word == id_ or (len(word) >= MIN_PREFIX and id_.startswith(word))


def _find_answer(question: AskedQuestion, text: str | None, source: str | None) -> Any:
    if source is not None:
        from agentic_cli.inputs.documents import read_document

        return read_document(source)
    if text is not None:
        return read_answer(question, text)
    if not terminal.is_interactive():
        raise PermanentError(f"no answer is given to {question.prompt!r}: add a VALUE, or --file")
    from agentic_cli.interaction.prompting import NoAnswer, TerminalDialogue, ask_answer

    try:
        return ask_answer(TerminalDialogue(), question)
    except NoAnswer:
        raise PermanentError("no answer was given; the session goes on waiting") from None
