"""A place where people log in: a real OpenID provider, an API server that trusts it, and gateways before that."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.certificates import Authority
from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import Space, install
from tests.support.openid import Browser, OpenIdProvider, running_provider
from tests.support.postgres import PostgresDatabase


@dataclass(frozen=True)
class Site:
    """Two replicas behind one public address, a provider, and an API server that trusts it."""

    plane: ControlPlane
    space: Space
    provider: OpenIdProvider
    gateway: Gateway
    replica: Gateway
    authority: Authority
    database: PostgresDatabase

    def open_browser(self) -> Browser:
        return Browser(self.gateway.address, self.authority.pair.certificate, self.provider.authority.pair.certificate)

    def count_logins(self) -> int:
        return int(self.database.execute("SELECT count(*) FROM gateway_logins")[0][0])

    @property
    def log(self) -> str:
        return self.gateway.log + self.replica.log


@contextmanager
def running_site(events: PostgresDatabase, folder: Path, *, id_token_seconds: int = 300, **more: str) -> Iterator[Site]:
    """Start it, with somebody at the provider, ``alice``, who may view and edit in the namespace ``people``."""
    port, other, idp_port = find_free_ports(3)
    public = f"https://127.0.0.1:{port}"
    authority = Authority(folder / "pki")
    authority.create()
    pair = authority.issue("gateway", "gateway", names=["127.0.0.1"])
    (folder / "secret").write_text("s3cret")
    for name in ("provider", "one", "two"):
        (folder / name).mkdir()
    with running_provider(
        folder / "provider",
        port=idp_port,
        redirect_uris=[f"{public}/auth/callback"],
        id_token_seconds=id_token_seconds,
    ) as provider:
        flags = [
            f"--oidc-issuer-url={provider.issuer}",
            "--oidc-client-id=gateway",
            f"--oidc-ca-file={provider.authority.pair.certificate}",
            "--oidc-username-claim=sub",
            "--oidc-username-prefix=oidc:",
            "--oidc-groups-claim=groups",
            "--oidc-groups-prefix=oidc:",
        ]
        with ControlPlane(folder / "plane", apiserver_flags=flags) as plane:
            install(plane)
            plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": "people"}})
            plane.request("POST", "/api/v1/namespaces/people/serviceaccounts", {"metadata": {"name": "robot"}})
            subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "oidc:alice"}
            for role in ("agentic-view", "agentic-edit"):
                binding = {
                    "metadata": {"generateName": "alice-"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                    "subjects": [subject],
                }
                path = "/apis/rbac.authorization.k8s.io/v1/namespaces/people/rolebindings"
                plane.request("POST", path, binding)
            variables = {
                "PUBLIC_URL": public,
                "OIDC_ISSUER": provider.issuer,
                "OIDC_CLIENT_ID": "gateway",
                "OIDC_CLIENT_SECRET_FILE": str(folder / "secret"),
                "OIDC_CA_FILE": str(provider.authority.pair.certificate),
                "TLS_CERT_FILE": str(pair.certificate),
                "TLS_KEY_FILE": str(pair.key),
                "TLS_RELOAD_SECONDS": "0.1",
                **more,
            }
            with (
                running_gateway(plane, events, folder / "one", **variables, PORT=str(port)) as gateway,
                running_gateway(plane, events, folder / "two", **variables, PORT=str(other)) as replica,
            ):
                space = Space(plane, "people", folder)
                space.define()
                yield Site(plane, space, provider, gateway, replica, authority, events)
