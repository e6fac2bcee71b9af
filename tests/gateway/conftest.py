"""One gateway for all tests of a process, and people with tokens."""

import os
from collections.abc import Callable, Iterator

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase, make_database
from tests.support.postgres_server import PostgresServer
from tests.trust.roles import Client, an_account

# What needs a program that most machines lack: `make full PART=gateway`.
collect_ignore = [] if os.environ.get("GATEWAY_LONG") == "1" else ["test_proxies.py"]


@pytest.fixture(scope="session")
def events(postgres_server: PostgresServer, migrated_template: str) -> Iterator[PostgresDatabase]:
    """The database of all tests of a process: sessions have uids of their own."""
    yield from make_database(postgres_server, migrated_template)


@pytest.fixture(scope="session")
def gateway(
    control_plane: ControlPlane, events: PostgresDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway beside the test API server and its database."""
    with running_gateway(control_plane, events, tmp_path_factory.mktemp("gateway")) as made:
        yield made


@pytest.fixture(scope="session")
def second_gateway(
    control_plane: ControlPlane, events: PostgresDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Another replica."""
    with running_gateway(control_plane, events, tmp_path_factory.mktemp("second-gateway")) as made:
        yield made


@pytest.fixture
def somebody(space: Space) -> Callable[..., Client]:
    """Makes a program with a token, that has ClusterRoles in the test's namespace alone."""

    def make(name: str, *roles: str) -> Client:
        plane = space.plane
        plane.request("POST", f"/api/v1/namespaces/{space.name}/serviceaccounts", {"metadata": {"name": name}})
        for role in roles:
            body = {
                "metadata": {"generateName": f"{name}-"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": space.name}],
            }
            plane.request("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}/rolebindings", body)
        return an_account(plane, space.name, name)

    return make
