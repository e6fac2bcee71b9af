"""Asks a person at the terminal: a schema's fields one after the other, and a graph's question.

Questions go to standard error, so that programs can read standard output. Typed text is checked
at once and asked for again; an empty line takes the default or leaves an optional field out.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final, Protocol

import click

from agentic_cli.inputs.checks import find_form_problems
from agentic_cli.inputs.forms import Field, list_fields, list_missing
from agentic_cli.inputs.questions import AskedQuestion, check_answer, read_answer
from agentic_cli.inputs.values import find_types, put, read_several, read_value
from agentic_cli.interaction.interrupts import interruptible
from agentic_cli.output import terminal
from agentic_cli.output.rendering import describe_details
from agentic_core.choices import find_item_choices
from agentic_core.errors import InvalidResource, PermanentError
from agentic_core.questions import Action, Review, show_json
from agentic_core.reviews import build_decision

YES_NO: Final = "yes/no"


class NoAnswer(Exception):
    """The person ended the input (Ctrl-D) instead of answering."""


class Dialogue(Protocol):
    """A person who can read messages and answer questions."""

    def tell(self, text: str) -> None:
        """Show a line."""

    def ask(self, prompt: str) -> str:
        """Return what is typed, without its line end; raise ``NoAnswer`` at the end of input."""


class TerminalDialogue:
    """The person at this terminal."""

    def tell(self, text: str) -> None:
        """Show a line."""
        click.echo(terminal.show_styled(text), err=True, color=terminal.wants_colour(sys.stderr))

    def ask(self, prompt: str) -> str:
        """Return the line typed."""
        colour = terminal.wants_colour(sys.stderr)
        with interruptible():
            click.echo(f"{click.style(prompt, bold=True)} ", nl=False, err=True, color=colour)
            line = sys.stdin.readline()
        if not line:
            self.tell("")
            raise NoAnswer
        return line.rstrip("\r\n")


def fill_form(dialogue: Dialogue, schema: Mapping[str, Any] | None, given: Any, hints: object = None) -> Any:
    """Return ``given`` with every field of the schema that it lacks asked for."""
    inputs = {} if given is None else given
    for field in list_missing(schema, inputs, hints):
        is_given, value = ask_field(dialogue, field)
        if is_given:
            put(inputs, field.path, value)
    return inputs


def ask_field(dialogue: Dialogue, field: Field) -> tuple[bool, Any]:
    """Return whether the field has a value, and the value."""
    if field.description:
        dialogue.tell(terminal.printable(f"{field.name}: {field.description}"))
    several = find_item_choices(field.schema)
    _tell_choices(dialogue, [_show(choice) for choice in field.choices])
    _tell_choices(dialogue, [each.label or _show(each.value) for each in several])
    while True:
        text = dialogue.ask(_prompt(field)).strip()
        if not text:
            if field.has_default:
                return True, field.default
            if not field.is_required:
                return False, None
            dialogue.tell(f'  {field.name} is required (type "" for empty text)')
            continue
        try:
            value = _read_field(text, field)
        except PermanentError as error:
            dialogue.tell(f"  {terminal.printable(str(error))}")
            continue
        problems = find_form_problems(value, field.schema)
        if not problems:
            return True, value
        for problem in problems:
            dialogue.tell(f"  {terminal.printable(problem.message)}")


def ask_answer(dialogue: Dialogue, question: AskedQuestion) -> Any:
    """Show a question and return a valid answer."""
    show_question(dialogue, question)
    while True:
        try:
            answer = _ask_once(dialogue, question)
            check_answer(question, answer)
        except InvalidResource as refused:
            for problem in refused.problems:
                dialogue.tell(f"  {terminal.printable(str(problem))}")
        except PermanentError as error:
            dialogue.tell(f"  {terminal.printable(str(error))}")
        else:
            return answer


def show_question(dialogue: Dialogue, question: AskedQuestion) -> None:
    """Show a question."""
    where = f" ({question.node})" if question.node else ""
    for line in question.prompt.splitlines() or [""]:
        dialogue.tell(click.style(f"? {terminal.printable(line)}", fg="magenta", bold=True))
    for line in describe_details(question.details):
        dialogue.tell(f"  {line}")
    dialogue.tell(terminal.printable(f"  question {question.id}{where}"))
    if question.review is None:
        _tell_choices(dialogue, [option.label for option in question.options])


def _ask_once(dialogue: Dialogue, question: AskedQuestion) -> Any:
    if question.review is not None and all(action.decisions for action in question.review.actions):
        review = question.review
        return review.build_answer([_ask_decision(dialogue, review, action) for action in review.actions])
    if not question.options and list_fields(question.schema):
        return fill_form(dialogue, question.schema, {})
    if not question.options and (several := find_item_choices(question.schema)):
        _tell_choices(dialogue, [each.label or _show(each.value) for each in several])
        text = dialogue.ask("answers, separated by commas:").strip()
        return read_several(text, question.schema, "the answer", by_number=True)
    while not (text := dialogue.ask(f"answer{_hint(question)}:").strip()):
        dialogue.tell('  type an answer (or "" for empty text); Ctrl-D leaves the question to somebody else')
    if (index := _index(text, len(question.options))) is not None:
        return question.options[index].value
    return "" if text == '""' else read_answer(question, text)


def _ask_decision(dialogue: Dialogue, review: Review, action: Action) -> dict[str, Any]:
    dialogue.tell(terminal.printable(f"  {action.name}({show_json(action.arguments)})"))
    for line in action.description.splitlines():
        dialogue.tell(terminal.printable(f"    {line}"))
    choices = action.decisions
    while (text := dialogue.ask(f"{terminal.printable(action.name)} [{'/'.join(choices)}]:").strip()) not in choices:
        dialogue.tell(f"  type one of {', '.join(choices)}")
    message, arguments = "", None
    match text:
        case "edit":
            typed = dialogue.ask("arguments as JSON (empty keeps them):").strip()
            arguments = read_value(typed, {"type": "object"}, "the arguments") if typed else action.arguments
        case "reject":
            message = dialogue.ask("reason (may be empty):").strip()
        case "respond" | "response":
            message = dialogue.ask("message:")
    return build_decision(review.form, action, text, message=message, arguments=arguments)


def _hint(question: AskedQuestion) -> str:
    """Return the words that answer a question for true or false."""
    return f" ({YES_NO})" if not question.options and find_types(question.schema) - {"null"} == {"boolean"} else ""


def _prompt(field: Field) -> str:
    kind = "/".join(sorted(field.types - {"null"})) if not field.choices else ""
    kind = YES_NO if kind == "boolean" else kind
    hints = [hint for hint in (kind, "" if field.is_required else "optional") if hint]
    default = f" [{terminal.printable(_show(field.default))}]" if field.has_default else ""
    return terminal.printable(field.name) + (f" ({', '.join(hints)})" if hints else "") + f"{default}:"


def _read_field(text: str, field: Field) -> Any:
    if field.choices:
        for choice in field.choices:
            if text == _show(choice):
                return choice
        index = _index(text, len(field.choices))
        if index is not None:
            return field.choices[index]
    if find_item_choices(field.schema):
        return read_several(text, field.schema, field.name, by_number=True)
    if text == '""' and "string" in (field.types or {"string"}):
        return ""
    return read_value(text, field.schema, field.name)


def _tell_choices(dialogue: Dialogue, labels: list[str]) -> None:
    for number, label in enumerate(labels, start=1):
        dialogue.tell(terminal.printable(f"  {number}) {label}"))


def _index(text: str, count: int) -> int | None:
    """Return the index in a list of choices that a number names."""
    return int(text) - 1 if text.isascii() and text.isdigit() and 1 <= int(text) <= count else None


def _show(value: Any) -> str:
    return value if isinstance(value, str) else show_json(value)
