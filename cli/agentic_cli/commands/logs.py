"""``logs``: prints the logs of a session's runners."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from agentic_cli.commands.completions import complete_sessions
from agentic_cli.commands.options import target_options
from agentic_cli.interaction.following import Clock, compute_pause
from agentic_cli.interaction.target import Project, Target
from agentic_cli.kube.errors import Expired, NotFound, Refused
from agentic_cli.model.kinds import PODS
from agentic_cli.model.sessions import Session
from agentic_cli.output import terminal
from agentic_cli.output.durations import convert_duration
from agentic_core.errors import ApiUnavailable, PermanentError
from agentic_core.names import RUNNER_CONTAINER, SESSION_LABEL
from agentic_core.runner_pods import Pod, choose_pods, split_timestamp

# A new pod, or the session's end, is noticed within this time even if no event comes.
LOOK_AGAIN_SECONDS = 5.0
# A log may be silent for long; then the stream is begun anew, for it may be the network that is silent.
QUIET_SECONDS = 120.0
ATTEMPTS = 40


@dataclass(frozen=True)
class LogOptions:
    """What of a log is wanted."""

    follow: bool
    all_runs: bool
    timestamps: bool
    tail: int | None
    since_seconds: float | None


@dataclass
class Progress:
    """How far the logs have been printed: the last line's time by pod, the pods that are done, the pod printed last."""

    reached: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    last: str = ""


@click.command()
@click.argument("name", metavar="SESSION", shell_complete=complete_sessions)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines, and with the pods of later runs, to the end.")
@click.option("--previous-runs", is_flag=True, help="The runs before the newest one too, as far as their pods exist.")
@click.option("--timestamps", is_flag=True, help="Print when each line was written.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each pod.")
@click.option("--since", callback=convert_duration, metavar="DURATION", help="Only lines that are not older.")
@target_options
def logs(
    target: Target,
    name: str,
    follow: bool,
    previous_runs: bool,
    timestamps: bool,
    tail: int | None,
    since: float | None,
) -> None:
    """Print the logs of a session's pods, one pod after the other.

    Pods are deleted with their Job some minutes after a run's end, and at once while the session waits for an answer;
    older logs are wherever your cluster collects them.

    \b
    Examples:
      agentic logs outliers-x7k2p
      agentic logs -f outliers-x7k2p
      agentic logs outliers-x7k2p --previous-runs --timestamps --since 1h
    """
    wanted = LogOptions(follow, previous_runs, timestamps, tail, since)
    with target.open() as project:
        session = project.fetch_session(project.name_session(name))
        if follow:
            _follow(project, session, wanted)
        else:
            _print_once(project, session, wanted)


def _print_once(project: Project, session: Session, wanted: LogOptions) -> None:
    pods, _ = _list_pods(project, session, wanted)
    if not pods:
        raise PermanentError(
            f"session {session.name!r} has no pods now: it is {session.phase}"
            + (
                "; a finished run's pods are deleted after some minutes, a waiting session's at once"
                if session.run
                else ""
            )
        )
    progress = Progress()
    for pod in pods:
        if pod.has_started or pod.is_over:
            _print_pod(project, pod, wanted, progress, is_single=len(pods) == 1)
        else:
            terminal.note(f"{pod.name} has not started yet {pod.waits_for}".rstrip())


def _follow(project: Project, session: Session, wanted: LogOptions) -> None:
    progress, clock, failures = Progress(), Clock(), 0
    while True:
        try:
            pods, version = _list_pods(project, session, wanted)
            open_pods = [pod for pod in pods if pod.name not in progress.done]
            for pod in open_pods:
                if not (pod.has_started or pod.is_over):
                    continue
                _print_pod(project, pod, wanted, progress, is_single=False)
                if pod.is_over:
                    progress.done.add(pod.name)
            session = project.fetch_session(session.name)
            if session.is_final and all(pod.name in progress.done or not pod.has_started for pod in pods):
                return
            _wait_for_pods(project, session, version)
            failures = 0
        except ApiUnavailable as error:
            failures += 1
            if failures >= ATTEMPTS:
                raise
            if failures == 2:
                terminal.note(f"{error}; trying again")
            clock.sleep(compute_pause(failures))


def _list_pods(project: Project, session: Session, wanted: LogOptions) -> tuple[list[Pod], str]:
    raws: list[dict[str, Any]] = []
    version = ""
    for page in project.api.list_pages(PODS, project.namespace, selector=f"{SESSION_LABEL}={session.name}"):
        raws += page.get("items") or ()
        version = version or page["metadata"]["resourceVersion"]
    # Who follows from one run to the next sees all that come from now on.
    newest = choose_pods(raws, session.uid, all_runs=False)
    if wanted.all_runs:
        return choose_pods(raws, session.uid, all_runs=True), version
    return newest, version


def _wait_for_pods(project: Project, session: Session, version: str) -> None:
    """Return when a pod of the session changed, or after a short time."""
    selector = f"{SESSION_LABEL}={session.name}"
    try:
        for event in project.api.watch(
            PODS, project.namespace, version=version, selector=selector, seconds=LOOK_AGAIN_SECONDS
        ):
            if event.type != "BOOKMARK":
                return
    except Expired:
        return


def _print_pod(project: Project, pod: Pod, wanted: LogOptions, progress: Progress, *, is_single: bool) -> None:
    try:
        for stamp, text in _read_lines(project, pod, wanted, progress):
            if progress.last != pod.name:
                if not is_single:
                    terminal.note(f"==> run {pod.run}, pod {pod.name} <==")
                progress.last = pod.name
            if sys.stdout.isatty():
                # Programs get the log byte for byte.
                text = terminal.show_styled(text.decode(errors="replace")).encode(errors="replace")
            sys.stdout.buffer.write((f"{stamp} ".encode() if wanted.timestamps and stamp else b"") + text + b"\n")
            if wanted.follow:
                sys.stdout.buffer.flush()
    except NotFound:
        # It was deleted in between, with its Job.
        progress.done.add(pod.name)
    except Refused as refused:
        terminal.note(f"{pod.name}: {refused}")
    sys.stdout.buffer.flush()


def _read_lines(project: Project, pod: Pod, wanted: LogOptions, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Yield the lines after the last one printed; their times show where a broken stream has to continue."""
    reached = progress.reached.get(pod.name, "")
    parameters = {"container": RUNNER_CONTAINER, "timestamps": "true"}
    if wanted.follow and not pod.is_over:
        parameters["follow"] = "true"
    if reached:
        # The API takes whole seconds: lines of that second come again and are dropped.
        parameters["sinceTime"] = f"{reached.partition('.')[0].rstrip('Z')}Z"
    else:
        if wanted.tail is not None:
            parameters["tailLines"] = str(wanted.tail)
        if wanted.since_seconds is not None:
            parameters["sinceSeconds"] = str(max(1, round(wanted.since_seconds)))
    for line in project.api.read_log(project.namespace, pod.name, parameters, quiet_seconds=QUIET_SECONDS):
        stamp, text = split_timestamp(line)
        if stamp and stamp <= reached:
            continue
        if stamp:
            progress.reached[pod.name] = stamp
        yield stamp, text
