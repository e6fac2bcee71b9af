"""``run``: a new session of a workflow, from inputs that are typed and checked by its schema."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from agentic_cli.commands.completions import complete_inputs, complete_workflows
from agentic_cli.commands.definitions import fetch_definition, find_derived, find_rules
from agentic_cli.commands.options import (
    no_answer_option,
    output_option,
    print_object,
    require_following,
    target_options,
    timeout_option,
)
from agentic_cli.commands.watch import follow_to_end
from agentic_cli.inputs.checks import require_acceptable, require_small
from agentic_cli.inputs.forms import list_fields, list_missing
from agentic_cli.inputs.given import build_given, given_options
from agentic_cli.inputs.messages import add_message
from agentic_cli.inputs.values import build_inputs
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project, Target
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, SESSIONS, WORKFLOWS, read_name
from agentic_cli.model.manifests import FIRST_TURN, build_session, build_turn
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import CONVERSATION
from agentic_cli.output import terminal
from agentic_cli.output.durations import convert_duration
from agentic_core.errors import PermanentError
from agentic_core.input_rules import InputRules, find_unknown_keys

F = TypeVar("F", bound=Callable[..., Any])


def follow_options(command: F) -> F:
    """Give a command that creates a session the options to follow it; those without effect are refused."""

    @functools.wraps(command)
    def checked(*arguments: Any, **options: Any) -> Any:
        require_following(options, "--wait or --watch", "wait", "watch")
        return command(*arguments, **options)

    with_options: Any = checked
    for option in (
        no_answer_option,
        timeout_option("How long to wait or watch:"),
        click.option("-w", "--watch", is_flag=True, help="Follow the session to its end, as `agentic watch` does."),
        click.option("--wait", is_flag=True, help="Wait for the session to end, without showing it."),
    ):
        with_options = option(with_options)
    followed: F = with_options
    return followed


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Let the API server check the session, but create nothing."
)


def create_and_follow(
    project: Project, body: Mapping[str, Any], output: str | None, *, dry_run: bool, **follow: Any
) -> int:
    """Create a session and follow it if requested, or only have it checked; return the exit status."""
    created = project.create_session(body, dry_run=dry_run)
    if not dry_run:
        return finish_creation(project, created, output, **follow)
    if output is not None:
        print_object(SESSIONS, created.raw, output)
    else:
        terminal.say(f"{SESSIONS.singular}/{created.name} created (dry run)")
    return ExitStatus.COMPLETED


def finish_creation(
    project: Project,
    session: Session,
    output: str | None,
    *,
    wait: bool,
    watch: bool,
    timeout: float | None,
    no_answer: bool,
) -> int:
    """Print the created session, follow it if requested, and return the exit status."""
    if output is not None:
        print_object(SESSIONS, session.raw, output)
    else:
        terminal.say(f"{SESSIONS.singular}/{session.name} created")
    if not wait and not watch:
        return ExitStatus.COMPLETED
    clock = Clock.with_timeout(timeout)
    return follow_to_end(
        project, session.name, clock, may_answer=not no_answer, quiet=wait and not watch, session=session
    )


@click.command()
@click.argument("workflow", shell_complete=complete_workflows)
@click.option("--cluster", is_flag=True, help="WORKFLOW is a ClusterWorkflowDefinition.")
@click.option("-f", "--file", "source", metavar="FILE", type=click.Path(), help="Inputs as JSON or YAML; - is stdin.")
@click.option(
    "-p",
    "--param",
    "pairs",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_inputs,
    help="One input; may be repeated.",
)
@click.option("-m", "--message", metavar="TEXT", help="What is said, if the workflow takes messages or one text.")
@click.option("--no-prompt", is_flag=True, help="Never ask for missing inputs.")
@click.option("--name", metavar="NAME", help="Name of the session. [default: generated from the workflow's]")
@click.option("--graph", metavar="NAME", help="Another graph of the same image.")
@click.option("--display-name", metavar="TEXT", help="A name for people.")
@click.option("--retries", type=click.IntRange(0, 100), help="How often a failed attempt is repeated.")
@click.option("--run-timeout", callback=convert_duration, metavar="DURATION", help="How long the session may execute.")
@click.option("--ttl", callback=convert_duration, metavar="DURATION", help="When the finished session is deleted.")
@click.option("--conversation", is_flag=True, help="A conversation: inputs are its first turn, and it takes more.")
@click.option("--idle-deadline", callback=convert_duration, metavar="DURATION", help="When an idle one is Completed.")
@given_options
@dry_run_option
@follow_options
@output_option("json", "yaml", "name")
@target_options
def run(
    target: Target,
    workflow: str,
    cluster: bool,
    source: str | None,
    pairs: tuple[str, ...],
    message: str | None,
    no_prompt: bool,
    name: str | None,
    graph: str | None,
    display_name: str | None,
    retries: int | None,
    run_timeout: float | None,
    ttl: float | None,
    conversation: bool,
    idle_deadline: float | None,
    configs: tuple[str, ...],
    config_file: str | None,
    contexts: tuple[str, ...],
    context_file: str | None,
    recursion_limit: int | None,
    dry_run: bool,
    output: str | None,
    **follow: Any,
) -> int:
    """Start a session of WORKFLOW.

    Inputs come from a file, then from each -p (a dotted key goes into nested objects), then, on a terminal where
    required ones are missing, from a prompt for each field of the workflow's schema. The schema gives the type: text,
    a number, true or false, JSON for lists and objects. Inputs are checked before the session is created.

    A --conversation goes on after its first turn: `agentic turn` and `agentic chat` add more. Without any inputs it
    begins with none.

    \b
    Examples:
      agentic run outliers -p dataset=cars -p threshold=2
      agentic run outliers -f inputs.yaml -p options.method=iqr --watch
      cat inputs.json | agentic run outliers -f - --name nightly --wait --timeout 1h
      agentic run shared-report --cluster -o name
      agentic run chat -p question=hello -c user_id=ann --graph-context model=large --recursion-limit 50
      agentic run support --conversation -m hello --idle-deadline 30d --wait
    """
    kind = CLUSTER_WORKFLOWS if cluster else WORKFLOWS
    workflow = read_name(kind, workflow)
    with target.open() as project:
        definition = fetch_definition(project, workflow, cluster=cluster)
        rules = find_rules(definition, graph)
        hints = None if definition is None else definition.spec.get("uiSchema")
        is_empty = conversation and source is None and not pairs and message is None
        inputs = None if is_empty else _collect_inputs(rules, source, pairs, message, hints, may_ask=not no_prompt)
        for warning in find_unknown_keys(rules, inputs):
            terminal.note(f"warning: {warning}")
        body = build_session(
            project.namespace,
            workflow,
            cluster=cluster,
            name=name,
            graph=graph,
            **_begin(project, inputs, is_empty=is_empty, idle_deadline=idle_deadline, is_conversation=conversation),
            **build_given(
                {},
                configs=configs,
                config_file=config_file,
                contexts=contexts,
                context_file=context_file,
                recursion_limit=recursion_limit,
                status=find_derived(definition, graph),
            ),
            displayName=display_name,
            retries=retries,
            timeoutSeconds=None if run_timeout is None else round(run_timeout),
            ttlSecondsAfterFinished=None if ttl is None else round(ttl),
        )
        return create_and_follow(project, body, output, dry_run=dry_run, **follow)


def _begin(
    project: Project, inputs: Any, *, is_empty: bool, idle_deadline: float | None, is_conversation: bool
) -> dict[str, Any]:
    """Return what a session begins with: its inputs, or those of the first turn of a conversation."""
    if not is_conversation:
        if idle_deadline is not None:
            raise click.UsageError("--idle-deadline is for a --conversation")
        return {"inputs": inputs}
    begun: dict[str, Any] = {"mode": CONVERSATION}
    if idle_deadline is not None:
        begun["idleDeadlineSeconds"] = round(idle_deadline)
    if not is_empty:
        require_small(inputs)
        begun["turns"] = [build_turn(FIRST_TURN, project.fetch_username(), input={} if inputs is None else inputs)]
    return begun


def _collect_inputs(
    rules: InputRules, source: str | None, pairs: tuple[str, ...], message: str | None, hints: object, *, may_ask: bool
) -> Any:
    schema = rules.form
    base = None
    if source is not None:
        from agentic_cli.inputs.documents import read_document

        base = read_document(source)
    inputs = build_inputs(base, pairs, schema, is_strict=rules.is_declared)
    if message is not None:
        inputs = add_message(rules.form, inputs, message)
    missing = [field for field in list_missing(schema, inputs) if field.is_required]
    # A derived schema requires few of the keys that a graph uses: without any input, ask for all of them.
    wants_form = bool(missing) or (inputs is None and not rules.is_declared and bool(list_fields(schema)))
    # Standard input that was the file has been read to its end.
    if wants_form and may_ask and source != "-" and terminal.is_interactive():
        inputs = _ask(schema, inputs, hints)
    elif missing:
        names = " ".join(f"-p {field.name}=…" for field in missing)
        raise PermanentError(f"required inputs are missing: add {names} or --file")
    if inputs is None and schema is not None:
        # If all inputs are optional, none are needed: for the schema that is the empty object.
        inputs = {} if _takes_objects(schema) else None
    if inputs is not None:
        require_acceptable(inputs, rules)
    return inputs


def _takes_objects(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" or "properties" in schema


def _ask(schema: Mapping[str, Any] | None, inputs: Any, hints: object) -> Any:
    from agentic_cli.interaction.prompting import NoAnswer, TerminalDialogue, fill_form

    try:
        return fill_form(TerminalDialogue(), schema, inputs, hints)
    except NoAnswer:
        raise PermanentError("the inputs were not finished; nothing was started") from None
