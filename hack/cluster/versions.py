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
GITLEAKS = "v8.30.1"
PAUSE = "3.10"

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture(machine: str | None = None) -> str:
    """Name this machine's processor as Go and the download sites do."""
    machine = machine or os.uname().machine
    return _MACHINES.get(machine, machine)
