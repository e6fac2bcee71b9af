"""Names the programs the local cluster is made of and those that tests start, and where each comes from."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hack.cluster.versions import (
    COREDNS,
    ETCD,
    GITLEAKS,
    GITOPS_ENGINE,
    HELM,
    KUBE_ROUTER,
    KUBERNETES,
    PROMETHEUS,
    VAULT,
    VERSITYGW,
    architecture,
)

Project = Literal[
    "kubernetes", "etcd", "coredns", "vault", "versitygw", "prometheus", "helm", "gitleaks", "argosync", "netpol"
]

VERSIONS: dict[Project, str] = {
    "kubernetes": KUBERNETES,
    "etcd": ETCD,
    "coredns": COREDNS,
    "vault": VAULT,
    "versitygw": VERSITYGW,
    "prometheus": PROMETHEUS,
    "helm": HELM,
    "gitleaks": GITLEAKS,
    "argosync": GITOPS_ENGINE,
    "netpol": KUBE_ROUTER,
}


@dataclass(frozen=True, slots=True)
class Program:
    """One program: its project, and the Go package it is built from when no download can be had."""

    name: str
    project: Project
    package: str
    module: str | None = None
    """The Go module whose own requirements it is built with; None if it shares those of Kubernetes."""
    tags: str = ""
    """Build tags that leave out what is not needed of it here."""
    stamps: tuple[str, ...] = ()
    """What its own makefile writes into it, as `variable=text`: without them it takes itself for an older one."""
    source: Path | None = None
    """Our own main package, of what a project has as a library alone; nobody publishes it."""
    debian: str | None = None
    """Debian's package that holds it, where an older version does as well and a build takes minutes."""

    @property
    def version(self) -> str:
        return VERSIONS[self.project]

    @property
    def module_version(self) -> str:
        """How its module is tagged: Prometheus 3.13.5 is v0.313.5 to Go."""
        if self.project != "prometheus":
            return self.version
        major, minor, patch = self.version.removeprefix("v").split(".")
        return f"v0.{major}{minor:0>2}.{patch}"

    @property
    def folder(self) -> str:
        """The cache folder of its project, keyed by version and machine."""
        content = f"-{hashlib.sha256(self.source.read_bytes()).hexdigest()[:12]}" if self.source else ""
        return f"{self.project}-{self.version}{content}-linux-{architecture()}"

    @property
    def built_name(self) -> str:
        """What `go build` calls it: the package's last element, without a major version."""
        return re.sub(r"/v\d+$", "", self.package).rpartition("/")[2]


PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        *(
            Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}")
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            )
        ),
        # A main package of our own: CoreDNS with the plugins that a cluster needs and none of the clouds'.
        Program("coredns", "coredns", "./coredns"),
        Program("vault", "vault", "github.com/hashicorp/vault", module="github.com/hashicorp/vault"),
        Program(
            "versitygw",
            "versitygw",
            "github.com/versity/versitygw/cmd/versitygw",
            module="github.com/versity/versitygw",
        ),
        # Without what it could discover targets by: the libraries of two dozen clouds.
        Program(
            "promtool",
            "prometheus",
            "github.com/prometheus/prometheus/cmd/promtool",
            module="github.com/prometheus/prometheus",
            tags="remove_all_sd",
            debian="prometheus",
        ),
        # One sync by the engine of ArgoCD, without its server, Redis and repositories.
        Program(
            "argosync",
            "argosync",
            "./argosync",
            module="github.com/argoproj/gitops-engine",
            source=Path(__file__).parents[1] / "argosync" / "main.go",
        ),
        # What enforces NetworkPolicies on the one node, without routes, proxy and CNI.
        Program(
            "netpol",
            "netpol",
            "./netpol",
            module="github.com/cloudnativelabs/kube-router/v2",
            source=Path(__file__).parents[1] / "netpol" / "main.go",
        ),
        Program(
            "gitleaks",
            "gitleaks",
            "github.com/zricethezav/gitleaks/v8",
            module="github.com/zricethezav/gitleaks/v8",
        ),
        Program(
            "helm",
            "helm",
            "helm.sh/helm/v3/cmd/helm",
            module="helm.sh/helm/v3",
            stamps=(
                f"helm.sh/helm/v3/internal/version.version={HELM}",
                *(
                    f"helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={number}"
                    for package in ("chartutil", "lint/rules")
                    for part, number in zip(("Major", "Minor"), KUBERNETES[1:].split("."), strict=False)
                ),
            ),
        ),
    )
}
