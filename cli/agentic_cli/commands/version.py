"""``version``: of this command, and of the operators in the cluster that the user may see."""

import click

from agentic_cli.commands.options import output_option, target_options
from agentic_cli.interaction.target import Target
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.kinds import DEPLOYMENTS
from agentic_cli.model.servers import Server, parse_server
from agentic_cli.output import terminal
from agentic_core import __version__
from agentic_core.names import API_VERSION, MANAGED_BY

_SELECTOR = f"app.kubernetes.io/name={MANAGED_BY}"


@click.command()
@click.option("--client", is_flag=True, help="Of this command alone; no cluster is asked.")
@output_option("text", "json", default="text")
@target_options
def version(target: Target, client: bool, output: str) -> int:
    """Show the versions of this command and of the operators in the cluster.

    An operator is found by its Deployment, for which the right to list those of all namespaces is needed, or of the
    namespace that -n names. Ends with 1 if none can be seen.

    \b
    Examples:
      agentic version
      agentic version --client
      agentic version -n agentic-system -o json
    """
    servers = [] if client else _fetch_servers(target)
    if output == "json":
        terminal.print_json(
            {"client": __version__, "apiVersion": API_VERSION, "servers": [each.show() for each in servers]}
        )
    else:
        terminal.say(f"client  {__version__} ({API_VERSION})")
        for each in servers:
            ready = f"{each.ready} of {each.wanted} ready"
            terminal.say(f"server  {each.version} ({each.image}, namespace {each.namespace}, {ready})")
    if not servers and not client:
        terminal.note("no operator is to be seen there: name the namespace of its Deployment with -n")
        return ExitStatus.FAILED
    return ExitStatus.COMPLETED


def _fetch_servers(target: Target) -> list[Server]:
    with target.open() as project:
        pages = project.api.list_pages(DEPLOYMENTS, target.namespace, selector=_SELECTOR)
        return [parse_server(each) for page in pages for each in page.get("items") or ()]
