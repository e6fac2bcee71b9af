"""``retry`` and ``fork``: a new session that starts where another one is or was."""

from collections.abc import Iterable, Mapping
from typing import Any

import click

from agentic_cli.commands.completions import complete_checkpoints, complete_sessions
from agentic_cli.commands.options import output_option, target_options
from agentic_cli.commands.run import create_and_follow, dry_run_option, follow_options
from agentic_cli.commands.selection import Selection, do_for_each, list_sessions_of, raise_refused, selection_options
from agentic_cli.inputs.given import build_given, given_options
from agentic_cli.inputs.values import build_inputs
from agentic_cli.interaction.target import Project, Target
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.manifests import build_fork, build_retry
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import CONVERSATION
from agentic_cli.output import terminal
from agentic_core.errors import PermanentError
from agentic_core.follow_ups import RetryObstacle, find_retry_obstacle

_name_option = click.option("--name", "new_name", metavar="NAME", help="Name of the new session. [default: generated]")


@click.command()
@selection_options
@_name_option
@click.option("--force", is_flag=True, help="Retry even if the session's own inputs or settings were refused.")
@dry_run_option
@follow_options
@output_option("json", "yaml", "name")
@target_options
def retry(
    target: Target,
    selection: Selection,
    new_name: str | None,
    force: bool,
    dry_run: bool,
    output: str | None,
    **follow: Any,
) -> int:
    """Continue failed or stopped sessions from their last checkpoints, as new sessions.

    Finished steps are not repeated, and the old session stays as it is. A session that never ran starts from its
    inputs. A session whose own inputs or settings were refused is not retried, because a retry repeats them. Of
    sessions chosen by labels, phase or workflow, those that another session goes on from are left out.

    \b
    Examples:
      agentic retry outliers-x7k2p
      agentic retry outliers-x7k2p --name outliers-again --watch
      agentic retry --phase Failed --workflow outliers --dry-run
    """
    is_one = len(selection.names) == 1
    if not is_one and (new_name or follow["wait"] or follow["watch"] or output in ("json", "yaml")):
        raise click.UsageError("--name, --wait, --watch and a whole object are for one session: name one")
    with target.open() as project:
        if is_one:
            failed = project.fetch_session(project.name_session(selection.names[0]))
            body = build_retry(failed, name=new_name, force=force)
            return _create(project, failed, body, output, dry_run=dry_run, **follow)
        refused: list[str] = []
        bodies: dict[str, dict[str, Any]] = {}
        chosen: list[Session] = []
        for found in _find_to_retry(project, selection):
            try:
                if isinstance(found, PermanentError):
                    raise found
                bodies[found.name] = build_retry(found, name=None, force=force)
                chosen.append(found)
            except PermanentError as error:
                if selection.is_by_query:
                    terminal.note(f"left out: {error}")
                else:
                    refused.append(str(error))

        def create(session: Session) -> None:
            _create(project, session, bodies[session.name], output, dry_run=dry_run, **follow)

        do_for_each(chosen, create, refused)
    raise_refused(refused)
    if not chosen:
        terminal.note("no such sessions that can be retried")
    return ExitStatus.COMPLETED


def _create(project: Project, failed: Session, body: Mapping[str, Any], output: str | None, **follow: Any) -> int:
    if "forkFrom" not in body["spec"]:
        terminal.note(f"{failed.name} never ran: its retry starts from its inputs")
    return create_and_follow(project, body, output, **follow)


def _find_to_retry(project: Project, selection: Selection) -> Iterable[Session | PermanentError]:
    """Return the sessions to retry: of those that nobody named, the ones that failed and that no other continues."""
    if not selection.is_by_query:
        return selection.read(project)
    everything = list_sessions_of(project, None)
    continued = {str((session.spec.get("forkFrom") or {}).get("session")) for session in everything}
    labelled = list_sessions_of(project, selection.selector) if selection.selector else everything
    return [
        session
        for session in labelled
        if selection.fits(session)
        and session.name not in continued
        and find_retry_obstacle(session.raw) not in (RetryObstacle.NOT_ENDED, RetryObstacle.COMPLETED)
    ]


@click.command()
@click.argument("session", metavar="SESSION", shell_complete=complete_sessions)
@click.option(
    "--checkpoint",
    metavar="ID",
    shell_complete=complete_checkpoints,
    help="The checkpoint to start from, by its id or the beginning of it. [default: the last one]",
)
@click.option("--set", "pairs", metavar="KEY=VALUE", multiple=True, help="A state value to change; may be repeated.")
@click.option(
    "-f", "--file", "source", metavar="FILE", type=click.Path(), help="State values as JSON or YAML; - is stdin."
)
@click.option("--as-node", metavar="NODE", help="The node that counts as the writer of the values.")
@click.option("--conversation", is_flag=True, help="The new session takes turns, as `agentic run --conversation`.")
@given_options
@_name_option
@dry_run_option
@follow_options
@output_option("json", "yaml", "name")
@target_options
def fork(
    target: Target,
    session: str,
    checkpoint: str | None,
    pairs: tuple[str, ...],
    source: str | None,
    as_node: str | None,
    conversation: bool,
    configs: tuple[str, ...],
    config_file: str | None,
    contexts: tuple[str, ...],
    context_file: str | None,
    recursion_limit: int | None,
    new_name: str | None,
    dry_run: bool,
    output: str | None,
    **follow: Any,
) -> int:
    """Start a new session from a checkpoint of another one, with changed state values if wanted.

    The two are independent from there on. VALUE is JSON if it is valid JSON, else text. Config and context are the
    other session's, overridden by the options.

    \b
    Examples:
      agentic fork outliers-x7k2p
      agentic fork outliers-x7k2p --checkpoint 1f0c9a2e --set threshold=3 --name outliers-strict
      agentic fork outliers-x7k2p --set threshold=3 --dry-run -o yaml
      agentic fork outliers-x7k2p --recursion-limit 500
      agentic fork support-x7k2p --conversation --name support-again
    """
    with target.open() as project:
        values = _read_values(source, pairs)
        origin = project.fetch_session(project.name_session(session))
        body = build_fork(origin, name=new_name, checkpoint=checkpoint, values=values, as_node=as_node)
        if conversation:
            body["spec"]["mode"] = CONVERSATION
        body["spec"] |= build_given(
            body["spec"],
            configs=configs,
            config_file=config_file,
            contexts=contexts,
            context_file=context_file,
            recursion_limit=recursion_limit,
            status={},
        )
        return create_and_follow(project, body, output, dry_run=dry_run, **follow)


def _read_values(source: str | None, pairs: tuple[str, ...]) -> Mapping[str, Any] | None:
    base = None
    if source is not None:
        from agentic_cli.inputs.documents import read_document

        base = read_document(source)
        if not isinstance(base, dict):
            raise PermanentError(f"{source!r} holds no object of state values")
    values: Mapping[str, Any] | None = build_inputs(base, pairs, None)
    return values
