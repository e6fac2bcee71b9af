"""``run``: a new session of a workflow, from inputs that are typed and checked by its schema."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from agentic_cli.commands.completions import complete_workflows
from agentic_cli.commands.options import no_answer_option, output_option, print_object, target_options, timeout_option
from agentic_cli.commands.watch import follow_to_end
from agentic_cli.inputs.checks import require_acceptable
from agentic_cli.inputs.forms import list_fields, list_missing
from agentic_cli.inputs.given import build_given, given_options
from agentic_cli.inputs.values import build_inputs
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project, Target
from agentic_cli.kube.errors import Forbidden, NotFound
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, SESSIONS, WORKFLOWS, read_name
from agentic_cli.model.manifests import build_session
from agentic_cli.model.sessions import Session, Workflow
from agentic_cli.output import terminal
from agentic_cli.output.durations import convert_duration
from agentic_core.errors import PermanentError
from agentic_core.input_rules import InputRules, find_unknown_keys

F = TypeVar("F", bound=Callable[..., Any])


def follow_options(command: F) -> F:
    """Give a command that creates a session the options that say whether to stay with it."""
    for option in (
        no_answer_option,
        timeout_option("How long to wait or watch:"),
        click.option("-w", "--watch", is_flag=True, help="Follow the session to its end, as `agentic watch` does."),
        click.option("--wait", is_flag=True, help="Wait for the session to end, without showing it."),
    ):
        command = option(command)
    return command


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
    """Return what was created, then stay with it where that is wanted; return the exit status."""
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
@click.option("-p", "--param", "pairs", metavar="KEY=VALUE", multiple=True, help="One input; may be repeated.")
@click.option("--no-prompt", is_flag=True, help="Never ask for missing inputs.")
@click.option("--name", metavar="NAME", help="Name of the session. [default: generated from the workflow's]")
@click.option("--graph", metavar="NAME", help="Another graph of the same image.")
@click.option("--display-name", metavar="TEXT", help="A name for people.")
@click.option("--retries", type=click.IntRange(0, 100), help="How often a failed attempt is repeated.")
@click.option("--run-timeout", callback=convert_duration, metavar="DURATION", help="How long the session may execute.")
@click.option("--ttl", callback=convert_duration, metavar="DURATION", help="When the finished session is deleted.")
@given_options
@click.option("--dry-run", is_flag=True, help="Let the API server check the session, but create nothing.")
@follow_options
@output_option("json", "yaml", "name")
@target_options
def run(
    target: Target,
    workflow: str,
    cluster: bool,
    source: str | None,
    pairs: tuple[str, ...],
    no_prompt: bool,
    name: str | None,
    graph: str | None,
    display_name: str | None,
    retries: int | None,
    run_timeout: float | None,
    ttl: float | None,
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
    required ones are missing, from a prompt per field of the workflow's schema. The schema says what a value is: text,
    a number, true or false, JSON for lists and objects. Inputs are checked before the session is created.

    \b
    Examples:
      agentic run outliers -p dataset=cars -p threshold=2
      agentic run outliers -f inputs.yaml -p options.method=iqr --watch
      cat inputs.json | agentic run outliers -f - --name nightly --wait --timeout 1h
      agentic run shared-report --cluster -o name
      agentic run chat -p question=hello -c user_id=ann --graph-context model=large --recursion-limit 50
    """
    kind = CLUSTER_WORKFLOWS if cluster else WORKFLOWS
    workflow = read_name(kind, workflow)
    with target.open() as project:
        definition = _fetch_definition(project, workflow, cluster=cluster)
        rules = _find_rules(definition, graph)
        inputs = _collect_inputs(rules, source, pairs, may_ask=not no_prompt)
        for warning in find_unknown_keys(rules, inputs):
            terminal.note(f"warning: {warning}")
        body = build_session(
            project.namespace,
            workflow,
            cluster=cluster,
            name=name,
            graph=graph,
            inputs=inputs,
            **build_given(
                {},
                configs=configs,
                config_file=config_file,
                contexts=contexts,
                context_file=context_file,
                recursion_limit=recursion_limit,
                status=_find_derived(definition, graph),
            ),
            displayName=display_name,
            retries=retries,
            timeoutSeconds=None if run_timeout is None else round(run_timeout),
            ttlSecondsAfterFinished=None if ttl is None else round(ttl),
        )
        created = project.create_session(body, dry_run=dry_run)
        if dry_run:
            if output is not None:
                print_object(SESSIONS, created.raw, output)
            else:
                terminal.say(f"{SESSIONS.singular}/{created.name} created (dry run)")
            return ExitStatus.COMPLETED
        return finish_creation(project, created, output, **follow)


def _fetch_definition(project: Project, name: str, *, cluster: bool) -> Workflow | None:
    """Return the definition; None, with a word about it, for a user who may start sessions but not read definitions."""
    try:
        return project.fetch_workflow(name, cluster=cluster)
    except Forbidden:
        terminal.note(f"the workflow {name!r} cannot be read, so its inputs are sent unchecked")
        return None
    except NotFound as missing:
        if not cluster and _has_cluster_workflow(project, name):
            raise NotFound(f"{missing}; there is a ClusterWorkflowDefinition of this name: add --cluster") from None
        raise


def _has_cluster_workflow(project: Project, name: str) -> bool:
    try:
        project.fetch_workflow(name, cluster=True)
    except PermanentError:
        return False
    return True


def _find_derived(definition: Workflow | None, graph: str | None) -> Mapping[str, Any]:
    """Return the status with the schemas of config and context; of another graph nothing is known."""
    if definition is None or (graph is not None and graph != definition.spec.get("graph")):
        return {}
    return definition.raw.get("status") or {}


def _find_rules(definition: Workflow | None, graph: str | None) -> InputRules:
    """Return by what the inputs are judged; of another graph than the inspected one nothing is known."""
    if definition is None:
        return InputRules()
    is_inspected = graph is None or graph == definition.spec.get("graph")
    return definition.rules if definition.rules.is_declared or is_inspected else InputRules()


def _collect_inputs(rules: InputRules, source: str | None, pairs: tuple[str, ...], *, may_ask: bool) -> Any:
    schema = rules.form
    base = None
    if source is not None:
        from agentic_cli.inputs.documents import read_document

        base = read_document(source)
    inputs = build_inputs(base, pairs, schema, is_strict=rules.is_declared)
    missing = [field for field in list_missing(schema, inputs) if field.is_required]
    # A derived schema requires little of what a graph makes use of: who gives nothing at all is asked for everything.
    wants_form = bool(missing) or (inputs is None and not rules.is_declared and bool(list_fields(schema)))
    # Standard input that was the file has been read to its end.
    if wants_form and may_ask and source != "-" and terminal.is_interactive():
        inputs = _ask(schema, inputs)
    elif missing:
        names = " ".join(f"-p {field.name}=…" for field in missing)
        raise PermanentError(f"required inputs are missing: add {names} or --file")
    if inputs is None and schema is not None:
        # A workflow whose inputs are all optional is run without any: for its schema that is the empty object.
        inputs = {} if _takes_objects(schema) else None
    if inputs is not None:
        require_acceptable(inputs, rules)
    return inputs


def _takes_objects(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" or "properties" in schema


def _ask(schema: Mapping[str, Any] | None, inputs: Any) -> Any:
    from agentic_cli.interaction.prompting import NoAnswer, TerminalDialogue, fill_form

    try:
        return fill_form(TerminalDialogue(), schema, inputs)
    except NoAnswer:
        raise PermanentError("the inputs were not finished; nothing was started") from None
