"""The versions of what the local cluster and the tests are made of: the one place to raise them."""

import os

KUBERNETES = "v1.35.4"
ETCD = "v3.6.5"
COREDNS = "v1.13.1"
VAULT = "v1.19.0"
VERSITYGW = "v1.8.0"
PROMETHEUS = "v3.13.5"
HELM = "v3.20.2"
# What ArgoCD 3.2.12 syncs with.
GITOPS_ENGINE = "v0.7.1-0.20260512161450-ff8d2f5207dc"
# Its controller of NetworkPolicies alone, for tests: what enforces them where a CNI does not.
KUBE_ROUTER = "v2.1.0"
GITLEAKS = "v8.30.1"
PAUSE = "3.10"
# What builds them where a machine has no Go, with the SHA-256 of its wheels for amd64 and arm64.
GO = "1.26.6"
GO_SUMS = (
    "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
)

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture(machine: str | None = None) -> str:
    """Name this machine's processor as Go and the download sites do."""
    machine = machine or os.uname().machine
    return _MACHINES.get(machine, machine)
