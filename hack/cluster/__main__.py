"""The commands of the local cluster: `python3 -m hack.cluster up|down|status|logs|load|kubeconfig|binaries|deps`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import binaries, deps
from hack.cluster.errors import ClusterError
from hack.cluster.folders import cluster_folder
from hack.cluster.locks import locked
from hack.cluster.onenode import PARTS, PROGRAMS, OneNode, PartStatus
from hack.cluster.processes import Processes
from hack.cluster.progress import Progress
from hack.cluster.providers import NamedCluster, choose, read_named, remember
from hack.images.builders import find_engine


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m hack.cluster",
        description="One local Kubernetes cluster: one that you name, kind, or a real node on this machine.",
        epilog="AGENTIC_KUBECONFIG and AGENTIC_CONTEXT name a cluster; AGENTIC_CLUSTER_DIR is the folder of its state, "
        "AGENTIC_CACHE that of programs and images.",
    )
    parser.add_argument("--kubeconfig", help="use the cluster of this file")
    parser.add_argument("--context", help="and this context of it")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the cluster; does nothing when it runs")
    commands.add_parser("down", help="end it and remove everything of it from this machine")
    commands.add_parser("status", help="show each part with its process, health and log file")
    logs = commands.add_parser("logs", help="show the log of a part")
    logs.add_argument("part", choices=sorted(PARTS))
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    load = commands.add_parser("load", help="give images to the cluster")
    load.add_argument(
        "image", nargs="+", help="a name of `python3 -m hack.images list`, or an archive of `docker save`"
    )
    commands.add_parser("kubeconfig", help="print the path of the configuration for kubectl")
    getting = commands.add_parser("binaries", help="get the programs into the cache and print where they are")
    getting.add_argument("program", nargs="*", help="only these")
    needs = commands.add_parser("deps", help="install the packages that this machine lacks")
    needs.add_argument(
        "group",
        nargs="*",
        metavar="group",
        choices=[*deps.GROUPS, []],
        help=f"of {', '.join(deps.GROUPS)}; else what the cluster and the images need here",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error is one message and exit code 1."""
    options = build_parser().parse_args(arguments)
    # Where a person becomes root by `su`, the programs of the administrator are not on the path.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    try:
        return _run(options)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the command again to go on", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    state, progress = cluster_folder(), Progress()
    if options.command == "logs":
        return _show_log(Processes(state), options.part, follow=options.follow)
    if options.command == "binaries":
        for name, path in binaries.ensure(options.program or PROGRAMS, progress=progress).items():
            print(f"{name}\t{path}")
        return 0
    if options.command == "deps":
        groups = options.group or _needed_groups(state, options, progress)
        deps.ensure([need for group in groups for need in deps.GROUPS[group]], progress.say)
        return 0
    if options.command not in ("up", "down", "load"):
        return _run_on_cluster(options, state, progress)
    # Beside the folder, which `down` deletes.
    with locked(state.with_name(f"{state.name}.lock")):
        return _run_on_cluster(options, state, progress)


def _run_on_cluster(options: argparse.Namespace, state: Path, progress: Progress) -> int:
    provider = choose(state, read_named(os.environ, options.kubeconfig, options.context), progress)
    match options.command:
        case "up":
            if isinstance(provider, NamedCluster):
                provider.check()
            remember(state, provider)
            provider.up()
        case "down":
            provider.down()
        case "status":
            found = provider.status()
            print(format_status(found))
            return 0 if all(one.healthy is not False and (one.pid or one.healthy) for one in found) else 1
        case "kubeconfig":
            if not provider.kubeconfig.exists():
                raise ClusterError("there is no local cluster: start it with `make cluster-up`")
            print(provider.kubeconfig)
        case "load":
            from hack.images.build import load  # images need a cluster to load into, so not at the top

            provider.load([Path(name) for name in options.image if Path(name).is_file()])
            load([name for name in options.image if not Path(name).is_file()], progress)
    return 0


def _needed_groups(state: Path, options: argparse.Namespace, progress: Progress) -> list[str]:
    """Name what this machine needs for a cluster and images: nothing, where kind and Docker do the work."""
    provider = choose(state, read_named(os.environ, options.kubeconfig, options.context), progress)
    cluster = ["cluster"] if isinstance(provider, OneNode) else []
    return cluster if find_engine() else [*cluster, "images"]


def format_status(parts: Sequence[PartStatus]) -> str:
    """Write the table of `status`."""
    health = {True: "healthy", False: "unhealthy", None: "running"}
    rows = [("PART", "PID", "STATE", "LOG")]
    for part in parts:
        stopped = part.pid is None and part.healthy is None
        state = "stopped" if stopped else health[part.healthy]
        rows.append((part.name, str(part.pid or "-"), state, str(part.log)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]) for row in rows)


def _show_log(processes: Processes, part: str, *, follow: bool) -> int:
    log = processes.log(part)
    if not log.exists():
        raise ClusterError(f"{part} has no log: was the cluster started? see `python3 -m hack.cluster status`")
    os.execvp("tail", ["tail", "-n", "200", *(["-F"] if follow else []), str(log)])  # noqa: S606 - replaces this process


if __name__ == "__main__":
    sys.exit(main())
