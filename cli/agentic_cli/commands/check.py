"""``check``: whether the operator is installed as it should be, step by step, with what mends each fault."""

import click

from agentic_cli.commands.options import output_option, target_options
from agentic_cli.interaction.target import Target
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.installation import DEFAULT_NAME, DEFAULT_NAMESPACE, Check, Place, Seen, judge
from agentic_cli.output import terminal
from agentic_core.errors import AgenticError, PermanentError
from agentic_core.names import is_dns_label


@click.command()
@click.option(
    "--name",
    default=DEFAULT_NAME,
    show_default=True,
    metavar="NAME",
    help="Of the operator's Deployment: a Helm release may have another one.",
)
@output_option("text", "json", default="text")
@target_options
def check(target: Target, name: str, output: str) -> int:
    """Check an installation in eight steps, each with what to do where it fails.

    Changes nothing and shows no secret's value. The namespace is the operator's, by default agentic-system. You need
    the right to read what the steps name, and to create subjectaccessreviews for step 6. Ends with 1 if a step failed.

    \b
    Examples:
      agentic check
      agentic check --context prod -n platform --name platform-agentic-operator
    """
    place = Place(target.namespace or DEFAULT_NAMESPACE, name)
    if not is_dns_label(place.namespace) or not is_dns_label(name):
        raise PermanentError(f"{place.namespace}/{name} cannot be an operator: lower-case letters, digits and '-'")
    checks = judge(_observe(target, place), place)
    failed = sum(bool(each.problem) for each in checks)
    if output == "json":
        terminal.print_json({"checks": [each.show() for each in checks]})
    else:
        for number, each in enumerate(checks, start=1):
            _say(number, each)
        all_ = len(checks)
        terminal.say(f"{failed} of {all_} checks failed" if failed else f"all {all_} checks passed")
    return ExitStatus.FAILED if failed else ExitStatus.COMPLETED


def _observe(target: Target, place: Place) -> Seen:
    from agentic_cli.interaction.installation import observe_installation

    try:
        with target.open() as project:
            return observe_installation(project.api, place)
    except AgenticError as error:
        # No kubeconfig, no such context, or one that cannot be used.
        return Seen(trouble=str(error))


def _say(number: int, each: Check) -> None:
    if not each.problem:
        terminal.say(f"{click.style('PASS', fg='green')}  {number}  {each.name}")
        return
    failed = click.style("FAIL", fg="red", bold=True)
    # The cluster's own words are in both: they stay in their line, and make none of their own.
    terminal.say(f"{failed}  {number}  {each.name}: {terminal.printable(each.problem)}")
    terminal.say(f"         {terminal.printable(each.remedy)}")
