"""Completing names on the command line: quick, quiet, and nothing at all where the cluster does not answer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, NAMESPACES, SESSIONS, WORKFLOWS, Kind

if TYPE_CHECKING:
    from agentic_cli.interaction.target import Project

CONNECT_SECONDS: Final = 2.0
MAX_NAMES: Final = 500

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_sessions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a session's name."""
    return _complete(ctx, SESSIONS, incomplete)


def complete_workflows(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a definition's name; with ``--cluster`` a ClusterWorkflowDefinition's."""
    return _complete(ctx, CLUSTER_WORKFLOWS if ctx.params.get("cluster") else WORKFLOWS, incomplete)


def complete_namespaces(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a namespace."""
    return _complete(ctx, NAMESPACES, incomplete)


def complete_contexts(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a context of the kubeconfig."""
    import os

    from agentic_cli.kube.kubeconfig import find_files, read_config
    from agentic_core.errors import AgenticError

    try:
        config = read_config(find_files(os.environ, _path(ctx)))
    except AgenticError:
        return []
    return [CompletionItem(name) for name in sorted(config.contexts) if name.startswith(incomplete)]


def complete_interrupts(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of an open question of the session that stands before it, then its options."""
    from agentic_cli.inputs.questions import read_question
    from agentic_core.errors import AgenticError
    from agentic_core.questions import clip_line

    words = ctx.params.get("words") or ()
    name = ctx.params.get("session")
    if not name:
        return []
    items: list[CompletionItem] = []
    try:
        with _project(ctx) as project:
            questions = [read_question(each) for each in project.fetch_session(name).open_interrupts]
    except (AgenticError, OSError):
        return []
    if len(questions) > 1 and not words:
        items = [CompletionItem(each.id, help=clip_line(each.prompt, 60)) for each in questions]
    for each in questions:
        if len(questions) == 1 or each.id in words:
            items += [CompletionItem(option.label) for option in each.options]
    return [item for item in items if item.value.startswith(incomplete)]


def _complete(ctx: click.Context, kind: Kind, incomplete: str) -> list[CompletionItem]:
    from agentic_core.errors import AgenticError

    names: list[str] = []
    try:
        with _project(ctx) as project:
            from agentic_cli.kube.client import NAMES_ONLY

            namespace = project.namespace if kind.is_namespaced else None
            for page in project.api.list_pages(kind, namespace, accept=NAMES_ONLY):
                names += [item["metadata"]["name"] for item in page.get("items") or ()]
                if len(names) >= MAX_NAMES:
                    break
    except (AgenticError, OSError):
        # There is no good place for words in the middle of a command line that is being typed.
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@contextmanager
def _project(ctx: click.Context) -> Iterator["Project"]:
    from agentic_cli.interaction.target import Target

    target = Target(ctx.params.get("namespace"), ctx.params.get("context"), _path(ctx))
    with target.open(connect_seconds=CONNECT_SECONDS) as project:
        yield project


def _path(ctx: click.Context) -> Path | None:
    given = ctx.params.get("kubeconfig")
    return Path(given) if given else None
