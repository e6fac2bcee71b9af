"""Completing names on the command line: quick, quiet, and nothing at all if the cluster does not answer."""

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


def complete_waiting(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a session that waits for an answer."""
    from agentic_core.errors import AgenticError
    from agentic_core.lifecycle import Phase

    try:
        with _project(ctx) as project:
            from agentic_cli.output.tables import collect_table

            header, rows = collect_table(project.api, SESSIONS, project.namespace, selector=None, wide=False)
    except (AgenticError, OSError):
        return []
    found = [dict(zip(header, cells, strict=True)) for _, cells in rows]
    names = [row["NAME"] for row in found if row.get("PHASE") == Phase.WAITING_FOR_INPUT]
    return [CompletionItem(name) for name in names[:MAX_NAMES] if name.startswith(incomplete)]


def complete_checkpoints(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a checkpoint of the session named before it, newest first."""
    from agentic_core.errors import AgenticError

    name = _first_word(ctx, "session")
    if not name:
        return []
    try:
        with _project(ctx) as project:
            history = project.fetch_session(name).status.get("history") or ()
    except (AgenticError, OSError):
        return []
    return [
        CompletionItem(str(each["id"]), help=str(each.get("node") or ""))
        for each in reversed(history)
        if str(each["id"]).startswith(incomplete)
    ]


def complete_inputs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a key of the workflow's inputs, and behind its ``=`` the values that the schema lists."""
    from agentic_core.errors import AgenticError

    name = _first_word(ctx, "workflow")
    if not name:
        return []
    try:
        with _project(ctx) as project:
            schema = project.fetch_workflow(name, cluster=bool(ctx.params.get("cluster"))).input_schema
    except (AgenticError, OSError):
        return []
    from agentic_cli.inputs.forms import list_fields
    from agentic_core.questions import clip_line, show_json

    given = {pair.partition("=")[0] for pair in ctx.params.get("pairs") or ()}
    items: list[CompletionItem] = []
    for field in list_fields(schema):
        if "=" not in incomplete and field.name not in given:
            items.append(CompletionItem(f"{field.name}=", help=clip_line(field.description, 60)))
        choices = field.choices or ((True, False) if field.types == {"boolean"} else ())
        if incomplete.startswith(f"{field.name}="):
            items += [
                CompletionItem(f"{field.name}={each if isinstance(each, str) else show_json(each)}") for each in choices
            ]
    return [item for item in items if item.value.startswith(incomplete)]


def complete_workflows(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a definition's name; with ``--cluster`` a ClusterWorkflowDefinition's."""
    return _complete(ctx, CLUSTER_WORKFLOWS if ctx.params.get("cluster") else WORKFLOWS, incomplete)


def complete_chats(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a definition's or a session's name, without those that name both."""
    workflows = complete_workflows(ctx, param, incomplete)
    return workflows if ctx.params.get("cluster") else [*workflows, *complete_sessions(ctx, param, incomplete)]


def complete_turns(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a turn of the session that stands before it."""
    from agentic_cli.model.turns import list_turns
    from agentic_cli.output.conversation import describe_what
    from agentic_core.errors import AgenticError
    from agentic_core.questions import clip_line

    name = _first_word(ctx, "session")
    if not name:
        return []
    try:
        with _project(ctx) as project:
            turns = list_turns(project.fetch_session(name))
    except (AgenticError, OSError):
        return []
    return [
        CompletionItem(each.name, help=clip_line(f"{each.phase} {describe_what(each)}", 60))
        for each in turns
        if each.name.startswith(incomplete)
    ]


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
    """Complete the id of an open question of the session named before it, then its options."""
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


def _first_word(ctx: click.Context, argument: str) -> str | None:
    """Return the command's first argument: while an option still lacks its value, click has not assigned it."""
    return ctx.params.get(argument) or next(iter(ctx.args), None)


def find_option(ctx: click.Context, name: str) -> str | None:
    """Return an option of this command or, as `agentic -n NAME get` gives it, of one around it."""
    current: click.Context | None = ctx
    while current is not None:
        if (given := current.params.get(name)) is not None:
            return str(given)
        current = current.parent
    return None


@contextmanager
def _project(ctx: click.Context) -> Iterator["Project"]:
    from agentic_cli.interaction.target import Target

    target = Target(find_option(ctx, "namespace"), find_option(ctx, "context"), _path(ctx))
    with target.open(connect_seconds=CONNECT_SECONDS) as project:
        yield project


def _path(ctx: click.Context) -> Path | None:
    given = find_option(ctx, "kubeconfig")
    return Path(given) if given else None
