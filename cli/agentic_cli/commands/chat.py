"""``chat``: a conversation with a workflow, at a prompt or in a pipe."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from agentic_cli.commands.completions import complete_chats
from agentic_cli.commands.definitions import (
    fetch_definition,
    find_definition,
    find_derived,
    find_graph,
    find_rules,
    has_cluster_workflow,
)
from agentic_cli.commands.options import streaming_options, target_options, timeout_option
from agentic_cli.inputs.given import build_given, given_options
from agentic_cli.inputs.messages import find_form
from agentic_cli.inputs.values import build_inputs
from agentic_cli.interaction.chat import Chat
from agentic_cli.interaction.conversation import Conversation, chat_in_pipe
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.line_editor import LineEditor
from agentic_cli.interaction.target import Project, Target
from agentic_cli.kube.errors import Forbidden, NotFound
from agentic_cli.model.kinds import SESSIONS, WORKFLOWS, read_name
from agentic_cli.model.latest import LATEST
from agentic_cli.model.manifests import build_session, generate_name
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import CONVERSATION, require_open
from agentic_cli.output import terminal
from agentic_core.errors import PermanentError


@click.command()
@click.argument("name", metavar="WORKFLOW | SESSION", shell_complete=complete_chats)
@click.option("--cluster", is_flag=True, help="WORKFLOW is a ClusterWorkflowDefinition.")
@click.option("--name", "new_name", metavar="NAME", help="Name of a new session. [default: from the workflow's]")
@click.option("--graph", metavar="NAME", help="Another graph of the same image, for a new session.")
@click.option("--field", metavar="NAME", help="Where a line goes. [default: `messages`, else the only text]")
@click.option(
    "-p", "--param", "--input", "pairs", metavar="KEY=VALUE", multiple=True, help="An input that goes with each line."
)
@given_options
@timeout_option("Of a pipe: how long all of it may take:")
@target_options
@streaming_options
def chat(
    target: Target,
    name: str,
    cluster: bool,
    new_name: str | None,
    graph: str | None,
    field: str | None,
    pairs: tuple[str, ...],
    timeout: float | None,
    **options: Any,
) -> int:
    """Talk to WORKFLOW in a new conversation, or go on with that of SESSION.

    Each line is a turn of one session; it goes on from where the last one ended, also weeks later. The reply is printed
    to standard output. Questions are asked in place. Ctrl-C cancels the turn that is on and not the session; Ctrl-D
    leaves, and the conversation goes on. /help shows what else can be typed.

    Config and context are those of a new session, or of each turn that is added to SESSION.

    With a gateway (--server), a reply is printed as it is said, and each call of a tool in a line.

    If there are a workflow and a session of the same name, write workflow/NAME or session/NAME.

    Without a terminal, each line of standard input is a turn, for a workflow of several inputs a JSON object. The exit
    status is that of the last turn: 0 for Completed, 1 for Failed, 3 for Canceled, 4 if it waits for an answer.

    \b
    Examples:
      agentic chat support
      agentic chat support-x7k2p
      agentic chat support --name ann-1 --graph-context user=ann
      printf 'hello\\nand now in French\\n' | agentic chat support
    """
    is_terminal = terminal.is_interactive()
    if is_terminal and timeout is not None:
        raise click.UsageError("--timeout has no effect on a terminal")
    with target.open() as project:
        kind, name = choose_kind(project, name, is_new=cluster or new_name is not None or graph is not None)
        if kind == SESSIONS.word:
            conversation = _go_on(project, project.fetch_session(name), field, pairs, options)
        else:
            conversation = _begin(project, name, new_name, graph, field, pairs, options, cluster=cluster)
        if is_terminal:
            gateway = target.find_gateway(project)
            heard = (
                0 if gateway is None else gateway.check(project.namespace, conversation.name or conversation.new_name)
            )
            return Chat(conversation, LineEditor(), gateway=gateway, heard=heard).run()
        return chat_in_pipe(conversation, iter(sys.stdin.buffer.readline, b""), Clock.with_timeout(timeout))


def choose_kind(project: Project, text: str, *, is_new: bool) -> tuple[str, str]:
    """Return whether a name is that of a ``session`` or a ``workflow``, and the name.

    Raises ``PermanentError`` if it is both or neither.
    """
    if text == LATEST and not is_new:
        return SESSIONS.word, project.name_session(text)
    prefix, slash, name = text.rpartition("/")
    if slash and prefix in (SESSIONS.word, WORKFLOWS.word):
        text = name
    elif slash:
        kind = SESSIONS if prefix.startswith(SESSIONS.singular) or prefix == "as" else WORKFLOWS
        prefix, text = kind.word, read_name(kind, text)
    name = read_name(WORKFLOWS if is_new else SESSIONS, text)
    if slash or is_new:
        return prefix if slash else WORKFLOWS.word, name
    is_session = _exists(lambda: project.fetch_session(name))
    is_workflow = _exists(lambda: project.fetch_workflow(name, cluster=False))
    if is_session and is_workflow:
        raise PermanentError(f"{name!r} is a session and a workflow: write session/{name} or workflow/{name}")
    if not is_session and is_workflow is False:
        hint = "it is a ClusterWorkflowDefinition: add --cluster" if has_cluster_workflow(project, name) else ""
        what = hint or f"`agentic workflows -n {project.namespace}` and `agentic list -n {project.namespace}` show them"
        raise NotFound(f"no workflow and no session {name!r} in namespace {project.namespace!r}: {what}")
    return SESSIONS.word if is_session else WORKFLOWS.word, name


def _exists(fetch: Callable[[], object]) -> bool | None:
    """Return whether the object exists; None if the user may not read it."""
    try:
        fetch()
    except NotFound:
        return False
    except Forbidden:
        return None
    return True


def _begin(
    project: Project,
    workflow: str,
    name: str | None,
    graph: str | None,
    field: str | None,
    pairs: tuple[str, ...],
    options: Mapping[str, Any],
    *,
    cluster: bool,
) -> Conversation:
    definition = fetch_definition(project, workflow, cluster=cluster)
    rules = find_rules(definition, graph)
    given = build_inputs({}, pairs, rules.form, is_strict=rules.is_declared)

    settings = build_given({}, **options, status=find_derived(definition, graph))

    def create(name: str, turn: Mapping[str, Any]) -> Session:
        body = build_session(
            project.namespace,
            workflow,
            cluster=cluster,
            name=name,
            graph=graph,
            mode=CONVERSATION,
            turns=[turn],
            **settings,
        )
        return project.create_session(body)

    new_name = name or generate_name(workflow)
    # Refuses a wrong name before the first message is typed.
    build_session(project.namespace, workflow, cluster=cluster, name=new_name)
    return Conversation(project, create, find_form(rules.form, given, field), rules, given, new_name=new_name)


def _go_on(
    project: Project, session: Session, field: str | None, pairs: tuple[str, ...], options: Mapping[str, Any]
) -> Conversation:
    require_open(session)
    definition, graph = find_definition(project, session), find_graph(session)
    rules = find_rules(definition, graph)
    settings = build_given({}, **options, status=find_derived(definition, graph))
    given = build_inputs({}, pairs, rules.form, is_strict=rules.is_declared)

    def create(_name: str, _turn: Mapping[str, Any]) -> Session:
        raise AssertionError("the session is there")

    return Conversation(project, create, find_form(rules.form, given, field), rules, given, settings, name=session.name)
