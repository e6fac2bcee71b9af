"""Options that several commands have, and printing objects in the form that ``-o`` names."""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from agentic_cli.commands import completions
from agentic_cli.interaction.target import Target
from agentic_cli.model.kinds import Kind
from agentic_cli.output import terminal
from agentic_cli.output.durations import convert_duration
from agentic_cli.output.rendering import strip_noise

F = TypeVar("F", bound=Callable[..., Any])


def output_option(*formats: str, default: str | None = None) -> Callable[[F], F]:
    """Return the option ``-o``."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=default, show_default=default is not None, help="Format."
    )


def timeout_option(text: str) -> Callable[[F], F]:
    """Return the option ``--timeout``."""
    return click.option(
        "--timeout", callback=convert_duration, metavar="DURATION", help=f"{text} 90s, 5m, 1h30m. [default: no limit]"
    )


no_answer_option = click.option(
    "--no-answer", is_flag=True, help="Do not ask here: exit with 4 as soon as the session waits for an answer."
)


def print_object(kind: Kind, raw: Mapping[str, Any], output: str) -> None:
    """Print one object as JSON, YAML or its name."""
    match output:
        case "json":
            terminal.print_json(strip_noise(raw))
        case "yaml":
            terminal.print_yaml(strip_noise(raw))
        case _:
            terminal.say(kind.show(raw["metadata"]["name"]))


def print_objects(kind: Kind, objects: Iterable[Mapping[str, Any]], output: str) -> None:
    """Print many objects: a ``List`` of them, or their names one by one."""
    if output == "name":
        for raw in objects:
            print_object(kind, raw, output)
        return
    document = {"apiVersion": "v1", "kind": "List", "items": [strip_noise(raw) for raw in objects]}
    if output == "json":
        terminal.print_json(document)
    else:
        terminal.print_yaml(document)


R = TypeVar("R")


def target_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that kubectl has everywhere; it gets them as ``target``."""

    @click.option(
        "-n", "--namespace", metavar="NAME", shell_complete=completions.complete_namespaces, help="Namespace."
    )
    @click.option("--context", metavar="NAME", shell_complete=completions.complete_contexts, help="Kubeconfig context.")
    @click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Kubeconfig file. [default: $KUBECONFIG or ~/.kube/config]",
    )
    @functools.wraps(command)
    def with_target(
        *arguments: Any, namespace: str | None, context: str | None, kubeconfig: Path | None, **options: Any
    ) -> R:
        return command(*arguments, target=Target(namespace, context, kubeconfig), **options)

    return with_target
