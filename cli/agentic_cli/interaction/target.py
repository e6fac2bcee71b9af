"""The target of a command: cluster, namespace, and the objects in it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentic_cli.kube.errors import NotFound
from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, SESSIONS, WORKFLOWS, read_name
from agentic_cli.model.latest import LATEST, find_latest
from agentic_cli.model.manifests import sign
from agentic_cli.model.sessions import Session, Workflow, parse_session, parse_workflow
from agentic_core.errors import Conflict, PermanentError
from agentic_core.names import answer_manager, is_dns_label

if TYPE_CHECKING:
    from agentic_cli.interaction.streaming import Gateway
    from agentic_cli.kube.client import Api


@dataclass(frozen=True)
class Project:
    """One namespace of one cluster."""

    api: "Api"
    namespace: str

    def fetch_session(self, name: str) -> Session:
        """Return the session; raise ``NotFound``."""
        return parse_session(self.api.get(SESSIONS, self.namespace, name))

    def name_session(self, text: str) -> str:
        """Return the session's name from what a person writes; `@latest` is the one that was made last."""
        if text != LATEST:
            return read_name(SESSIONS, text)
        from agentic_cli.kube.client import NAMES_ONLY

        pages = self.api.list_pages(SESSIONS, self.namespace, accept=NAMES_ONLY)
        return find_latest((each for page in pages for each in page.get("items") or ()), self.namespace)

    def create_session(self, body: Mapping[str, Any], *, dry_run: bool = False) -> Session:
        """Create a session in the user's name and return it as the API server made it."""
        signed = sign(body, self.fetch_username())
        return parse_session(self.api.create(SESSIONS, self.namespace, signed, dry_run=dry_run))

    def fetch_username(self) -> str:
        """Return the user's name as the API server authenticated it; empty if it does not report it."""
        return self.api.fetch_username()

    def patch_session(self, name: str, body: Mapping[str, Any]) -> Session:
        """Change a session and return it as it is then."""
        return parse_session(self.api.patch(SESSIONS, self.namespace, name, body))

    def delete_session(self, session: Session) -> None:
        """Delete this session, and none that was made under its name since; raise ``NotFound`` if it is gone."""
        try:
            self.api.delete(SESSIONS, self.namespace, session.name, uid=session.uid)
        except Conflict:
            raise NotFound(f"session {session.name!r} is gone: there is another one of this name") from None

    def change_session(
        self, name: str, operations: Sequence[Mapping[str, Any]], *, manager: str = "agentic"
    ) -> Session:
        """Change a session by a JSON patch and return it as it is then; raise ``Conflict`` if a test in it fails."""
        return parse_session(self.api.patch_json(SESSIONS, self.namespace, name, operations, manager=manager))

    def answer(self, name: str, interrupt: str, body: Mapping[str, Any], *, replace: bool = False) -> Session:
        """Apply one answer, under the user's name: as the API server knows it, else as the kubeconfig does.

        Two people with the same name in their kubeconfigs are two managers: else one would withdraw the other's answer.

        ``replace`` replaces the user's own answer to the same question; ``body`` has the version as its precondition.
        """
        manager = answer_manager(self.fetch_username() or self.api.connection.user, interrupt)
        return parse_session(self.api.apply(SESSIONS, self.namespace, name, body, manager=manager, force=replace))

    def fetch_workflow(self, name: str, *, cluster: bool) -> Workflow:
        """Return the definition; raise ``NotFound``."""
        kind = CLUSTER_WORKFLOWS if cluster else WORKFLOWS
        return parse_workflow(self.api.get(kind, None if cluster else self.namespace, name))


@dataclass(frozen=True)
class Target:
    """The cluster, user and namespace that the options choose."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None
    server: str | None = None
    """Address of a gateway; None without one."""
    ca_file: Path | None = None

    def find_gateway(self, project: Project) -> "Gateway | None":
        """Return the gateway that the options name, with the token of the user of ``project``; None without one."""
        if self.server is None:
            return None
        from agentic_cli.interaction.streaming import Gateway

        return Gateway(self.server.rstrip("/"), project.api.connection, self.ca_file)

    @contextmanager
    def open(self, *, connect_seconds: float | None = None) -> Iterator[Project]:
        """Connect by the kubeconfig."""
        # Loaded here: `--help` and completion of options need neither YAML nor HTTP.
        from agentic_cli.kube.client import CONNECT_SECONDS, Api
        from agentic_cli.kube.kubeconfig import find_connection

        connection = find_connection(os.environ, kubeconfig=self.kubeconfig, context=self.context)
        namespace = self.namespace or connection.namespace
        if not is_dns_label(namespace):
            raise PermanentError(f"{namespace!r} cannot be a namespace: lower-case letters, digits and '-'")
        with Api(connection, connect_seconds=connect_seconds or CONNECT_SECONDS) as api:
            yield Project(api, namespace)
