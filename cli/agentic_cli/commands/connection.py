"""The options that choose cluster and namespace, before a command's name or behind it."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from agentic_cli.commands import completions

SERVER_VARIABLE: Final = "AGENTIC_SERVER"
CA_VARIABLE: Final = "AGENTIC_SERVER_CA"

F = TypeVar("F", bound=Callable[..., Any])


def server_options(command: F) -> F:
    """Add ``--server`` and ``--ca``."""
    for option in (
        click.option(
            "--ca",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Certificates (PEM) that vouch for the gateway. [default: $AGENTIC_SERVER_CA, else the system's]",
        ),
        click.option(
            "--server",
            metavar="URL",
            help="A gateway: shows what the session says, as it is said. [default: $AGENTIC_SERVER, else none]",
        ),
    ):
        command = option(command)
    return command


def connection_options(command: F) -> F:
    """Add ``--namespace``, ``--context`` and ``--kubeconfig``."""
    for option in (
        click.option(
            "--kubeconfig",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Kubeconfig file. [default: $KUBECONFIG or ~/.kube/config]",
        ),
        click.option(
            "--context", metavar="NAME", shell_complete=completions.complete_contexts, help="Kubeconfig context."
        ),
        click.option(
            "-n", "--namespace", metavar="NAME", shell_complete=completions.complete_namespaces, help="Namespace."
        ),
    ):
        command = option(command)
    return command
