"""The target of a command: cluster, namespace, and the objects in it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, SESSIONS, WORKFLOWS
from agentic_cli.model.manifests import sign
from agentic_cli.model.sessions import Session, Workflow, parse_session, parse_workflow
from agentic_core.errors import PermanentError
from agentic_core.names import answer_manager, is_dns_label

if TYPE_CHECKING:
    from agentic_cli.kube.client import Api


@dataclass(frozen=True)
class Project:
    """One namespace of one cluster."""

    api: "Api"
    namespace: str

    def fetch_session(self, name: str) -> Session:
        """Return the session; raise ``NotFound``."""
        return parse_session(self.api.get(SESSIONS, self.namespace, name))

    def create_session(self, body: Mapping[str, Any], *, dry_run: bool = False) -> Session:
        """Create a session in the user's name and return it as the API server made it."""
        signed = sign(body, self.fetch_username())
        return parse_session(self.api.create(SESSIONS, self.namespace, signed, dry_run=dry_run))

    def fetch_username(self) -> str:
        """Return the name by which the API server knows the user; empty where it does not tell."""
        return self.api.fetch_username()

    def patch_session(self, name: str, body: Mapping[str, Any]) -> Session:
        """Change a session and return it as it is then."""
        return parse_session(self.api.patch(SESSIONS, self.namespace, name, body))

    def answer(self, name: str, interrupt: str, body: Mapping[str, Any], *, replace: bool = False) -> Session:
        """Apply one answer, under the user's name: as the API server knows it, else as the kubeconfig does.

        Two people whose kubeconfigs call them alike are two managers: one would take back the answer of the other.

        ``replace`` takes the place of the user's own answer to the same question; ``body`` says as of which version.
        """
        manager = answer_manager(self.fetch_username() or self.api.connection.user, interrupt)
        return parse_session(self.api.apply(SESSIONS, self.namespace, name, body, manager=manager, force=replace))

    def fetch_workflow(self, name: str, *, cluster: bool) -> Workflow:
        """Return the definition; raise ``NotFound``."""
        kind = CLUSTER_WORKFLOWS if cluster else WORKFLOWS
        return parse_workflow(self.api.get(kind, None if cluster else self.namespace, name))


@dataclass(frozen=True)
class Target:
    """What the options say about where to act."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None

    @contextmanager
    def open(self, *, connect_seconds: float | None = None) -> Iterator[Project]:
        """Connect as the kubeconfig says."""
        # Loaded here: `--help` and completion of options need neither YAML nor HTTP.
        from agentic_cli.kube.client import CONNECT_SECONDS, Api
        from agentic_cli.kube.kubeconfig import find_connection

        connection = find_connection(os.environ, kubeconfig=self.kubeconfig, context=self.context)
        namespace = self.namespace or connection.namespace
        if not is_dns_label(namespace):
            raise PermanentError(f"{namespace!r} cannot be a namespace: lower-case letters, digits and '-'")
        with Api(connection, connect_seconds=connect_seconds or CONNECT_SECONDS) as api:
            yield Project(api, namespace)
