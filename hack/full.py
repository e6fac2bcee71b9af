"""``make full PART=kills``: the long tests and measurements, one part at a time.

``make test`` holds the short form of each. A part takes at most about 25 minutes on two cores and can be started again;
its result is its exit status. What each part runs is the table below.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hack.images.build import ON_OTHER_PYTHON, OTHER_PYTHON
from hack.steps import step
from hack.test import IMAGES, WITH_ARGOCD, WITH_VAULT


@dataclass(frozen=True)
class Part:
    """Commands of this Python that run one after another, and whether they need the real cluster with our images."""

    about: str
    commands: tuple[tuple[str, ...], ...]
    needs_cluster: bool = False
    images: tuple[str, ...] = ()
    """Of ours, beside those of every test."""
    preparations: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Titles and modules with arguments, beside those of every part on the cluster."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for the commands."""


def _bench(about: str, names: str) -> Part:
    return Part(about, (("-m", "bench", *names.split()),))


def _on_cluster(about: str, *names: str, images: tuple[str, ...] = ()) -> Part:
    return _tests_on_cluster(about, *(f"tests/e2e/test_{name}.py" for name in names), images=images)


def _tests_on_cluster(about: str, *paths: str, images: tuple[str, ...] = ()) -> Part:
    tests = ("-m", "pytest", "-q", "--durations=10", *paths)
    return Part(about, (tests,), needs_cluster=True, images=images)


PARTS: Final[Mapping[str, Part]] = {
    "bench": _bench(
        "runner, operator and schema checks as ratios", "runner_start super_step operator_latency answers schema"
    ),
    "data": _bench("benchmarks of the database", "wal fork retention data_queries large_result"),
    "scale": _bench("2,000 sessions that wait, and many threads in one loop", "waiting runner_concurrency"),
    "conversations": _bench("turns warm and cold, the 300th, and 2,000 idle conversations", "conversations"),
    "kills": Part(
        "200 runners killed at random moments, 200 of conversations, and 200 more between any two marks of a turn",
        (
            ("-m", "bench.kills", "--kills", "200"),
            ("-m", "bench.conversation_kills", "--kills", "200"),
            ("-m", "bench.turn_kills", "--kills", "200"),
        ),
    ),
    "attack": Part("ten minutes of attack beside 70 sessions of other tenants", (("-m", "bench.attack"),)),
    "gateway": Part(
        "200 streams over every restart, 1,000 clients that die, a real nginx, and each limit of the OpenAPI's schemas",
        (
            (
                *("-m", "pytest", "-q", "--durations=10"),
                *(f"tests/gateway/test_{name}.py" for name in ("faults", "proxies", "contract")),
            ),
        ),
        preparations=(("packages", ("hack.cluster", "deps", "gateway")),),
        environment={"GATEWAY_LONG": "1"},
    ),
    "docs": Part(
        "the site of the guide with its links; README, installing and tutorial, as a reader follows them",
        (("-m", "hack.site"), ("-m", "hack.pages")),
        needs_cluster=True,
    ),
    "browser": Part(
        "the console with 20,000 events, 300 nodes, 5,000 sessions and a long stream (BROWSER_STREAM_SECONDS=3600)",
        (("-m", "pytest", "-q", "--durations=10", "tests/browser/test_scale.py"),),
        environment={"BROWSER_LONG": "1"},
    ),
    "floors": Part("unit and integration tests on the lowest versions", (("-m", "hack.floors"),)),
    "postgres": Part("the database's tests on PostgreSQL 14 and 18", (("-m", "hack.postgres", "--versions", "14 18"),)),
    "scan": Part(
        "credentials in the history, the manifests and the images; known faults in what is locked",
        (("-m", "hack.images", "build", "--no-load", "operator", "runner", "gateway"), ("-m", "hack.scan")),
    ),
    "gitops": Part(
        "what ArgoCD's engine makes of the manifests and the chart",
        (("-m", "pytest", "-q", "--durations=10", *WITH_ARGOCD),),
        preparations=(("ArgoCD's engine and Helm", ("hack.cluster", "binaries", "argosync", "helm")),),
    ),
    "helm": _on_cluster("the chart by real Helm on the real cluster", "helm"),
    "openshift": _on_cluster("pods that run as whom the cluster says, as on OpenShift", "openshift"),
    "network": replace(
        _on_cluster("NetworkPolicies, enforced", "networks"),
        preparations=(
            ("what enforces policies", ("hack.cluster", "binaries", "netpol")),
            ("packages", ("hack.cluster", "deps", "network")),
        ),
    ),
    "python": _on_cluster(
        "every kind of project, and what the LangGraph CLI builds, on Python 3.13 or AGENTIC_OTHER_PYTHON",
        "other_python",
        images=tuple(f"{name}-{OTHER_PYTHON}" for name in ON_OTHER_PYTHON),
    ),
    "restore": _on_cluster("backup, restore, checks and lost parts", "operations", "disruptions"),
    "vault": replace(
        _tests_on_cluster("credentials from a real Vault", *WITH_VAULT),
        preparations=(("Vault", ("hack.cluster", "binaries", "vault")),),
    ),
}
PREPARATIONS: Final = (
    ("local cluster", ("hack.cluster", "up")),
    ("programs that tests start", ("hack.cluster", "binaries", "versitygw", "helm")),
    ("images", ("hack.images", "build", *IMAGES)),
    ("operator", ("hack.install",)),
)


def build_steps(part: Part) -> list[tuple[str, Sequence[str]]]:
    """Return the titles and commands of a part, what it needs first."""
    before = (*(PREPARATIONS if part.needs_cluster else ()), *part.preparations)
    if part.images:
        before = (*before, ("more images", ("hack.images", "build", *part.images)))
    return [
        *((title, [sys.executable, "-m", *module]) for title, module in before),
        *((" ".join(command), [sys.executable, *command]) for command in part.commands),
    ]


def main() -> int:
    """Run the part that is named; the exit status is that of the first step that fails."""
    listed = "\n".join(f"  {name:<12} {part.about}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m hack.full",
        description=f"{__doc__}\nparts:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=PARTS, metavar="PART")
    part = PARTS[parser.parse_args().part]
    for title, command in build_steps(part):
        # A part that takes long may have tests that do; each is still bounded.
        if status := step(title, command, PYTEST_TIMEOUT="5400", **part.environment):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
