"""``workflows``: the definitions that can be run."""

import click

from agentic_cli.commands.completions import complete_workflows
from agentic_cli.commands.groups import SuggestingGroup
from agentic_cli.commands.options import output_option, print_object, print_objects, target_options
from agentic_cli.interaction.target import Project, Target
from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, WORKFLOWS, read_name
from agentic_cli.output import terminal
from agentic_cli.output.durations import utc_now
from agentic_cli.output.rendering import Row, describe_workflow

_cluster = click.option("--cluster", is_flag=True, help="ClusterWorkflowDefinitions, which all namespaces share.")


class ListByDefault(SuggestingGroup):
    """A group that lists if no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert ``list`` before options or into an empty line, except while a shell completes it."""
        asks_for_help = args[:1] in (["-h"], ["--help"])
        if not ctx.resilient_parsing and not asks_for_help and (not args or args[0].startswith("-")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ListByDefault)
def workflows() -> None:
    """List and show workflow definitions.

    \b
    Examples:
      agentic workflows
      agentic workflows --cluster
      agentic workflows get outliers
    """


@workflows.command("list")
@_cluster
@click.option("-A", "--all-namespaces", is_flag=True, help="Definitions of all namespaces.")
@click.option("-l", "--selector", metavar="LABELS", help="Only those with these labels, as kubectl has it.")
@output_option("table", "wide", "json", "yaml", "name", default="table")
@target_options
def list_workflows(target: Target, cluster: bool, all_namespaces: bool, selector: str | None, output: str) -> None:
    """List definitions.

    \b
    Examples:
      agentic workflows list
      agentic workflows list --cluster -o wide
    """
    kind = CLUSTER_WORKFLOWS if cluster else WORKFLOWS
    with target.open() as project:
        namespace = None if all_namespaces or cluster else project.namespace
        if output in ("table", "wide"):
            _print_table(project, namespace, selector, cluster=cluster, wide=output == "wide")
            return
        objects = (
            {"apiVersion": page["apiVersion"], "kind": kind.kind, **raw}
            for page in project.api.list_pages(kind, namespace, selector=selector)
            for raw in page.get("items") or ()
        )
        print_objects(kind, objects, output)


def _print_table(project: Project, namespace: str | None, selector: str | None, *, cluster: bool, wide: bool) -> None:
    from agentic_cli.output.tables import collect_table

    kind = CLUSTER_WORKFLOWS if cluster else WORKFLOWS
    header, rows = collect_table(project.api, kind, namespace, selector=selector, wide=wide)
    if not rows:
        where = "in the cluster" if cluster else f"in namespace {namespace!r}" if namespace else "in any namespace"
        terminal.note(f"no {kind.word}s {where}")
        return
    shows_place = namespace is None and not cluster
    table: list[Row] = [(place, *cells) if shows_place else cells for place, cells in rows]
    terminal.print_table(("NAMESPACE", *header) if shows_place else header, table, fits=not wide)


@workflows.command("get")
@click.argument("name", metavar="WORKFLOW", shell_complete=complete_workflows)
@_cluster
@output_option("text", "json", "yaml", "name", "schema", default="text")
@target_options
def get_workflow(target: Target, name: str, cluster: bool, output: str) -> None:
    """Show a definition: whether it is ready, its graph, its inputs.

    \b
    Examples:
      agentic workflows get outliers
      agentic workflows get outliers -o schema > schema.json
    """
    kind = CLUSTER_WORKFLOWS if cluster else WORKFLOWS
    with target.open() as project:
        workflow = project.fetch_workflow(read_name(kind, name), cluster=cluster)
    match output:
        case "text":
            for line in describe_workflow(workflow, utc_now()):
                terminal.say(line)
        case "schema":
            terminal.print_json(workflow.input_schema)
        case _:
            print_object(kind, workflow.raw, output)
