"""Options that several commands have, and printing objects in the form that ``-o`` names."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from agentic_cli.commands.completions import find_option
from agentic_cli.commands.connection import CA_VARIABLE, SERVER_VARIABLE, connection_options, server_options
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


def require_following(options: Mapping[str, Any], needed: str, *following: str) -> None:
    """Raise ``UsageError`` for ``--timeout`` or ``--no-answer`` if none of the options that follow a session is set."""
    if any(options.get(name) for name in following):
        return
    for name, option in (("timeout", "--timeout"), ("no_answer", "--no-answer")):
        if options.get(name) not in (None, False):
            raise click.UsageError(f"{option} has no effect without {needed}")


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


def streaming_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of a gateway, beside those of ``target_options``, which it has to have around it."""

    @server_options
    @functools.wraps(command)
    def with_server(*arguments: Any, target: Target, server: str | None, ca: str | None, **options: Any) -> R:
        ctx = click.get_current_context()
        server = server or find_option(ctx, "server") or os.environ.get(SERVER_VARIABLE) or None
        ca = ca or find_option(ctx, "ca") or os.environ.get(CA_VARIABLE) or None
        target = dataclasses.replace(target, server=server, ca_file=Path(ca) if ca else None)
        return command(*arguments, target=target, **options)

    return with_server


def target_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that kubectl has everywhere; it gets them as ``target``.

    They are also accepted before the command's name: `agentic -n NAME get`.
    """

    @connection_options
    @functools.wraps(command)
    def with_target(
        *arguments: Any, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any
    ) -> R:
        ctx = click.get_current_context()
        path = kubeconfig or find_option(ctx, "kubeconfig")
        target = Target(
            namespace or find_option(ctx, "namespace"),
            context or find_option(ctx, "context"),
            Path(path) if path else None,
        )
        return command(*arguments, target=target, **options)

    return with_target
