"""A cluster by the official Kubernetes client: what end-to-end tests make, change, read and run in pods.

Objects of every kind are JSON as the API server sends them. Where a test is about kubectl itself (apply of a folder,
columns, ``describe``, the commands of a guide), it takes ``hack/kubectl.py``.
"""

import json
import tempfile
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from kubernetes import client, config, stream
from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient

from tests.support.waiting import wait_for

Json = dict[str, Any]
FIELD_MANAGER = "tests"
REQUEST_SECONDS = 60
"""After so long a request counts as unanswered; a command in a pod may take as long."""


class Kind(NamedTuple):
    """A kind of objects and the version of the API in which it is read and written."""

    name: str
    api_version: str = "v1"


SESSION = Kind("AgenticSession", "agentic-operator.dev/v1alpha1")
DEFINITION = Kind("WorkflowDefinition", "agentic-operator.dev/v1alpha1")
CLUSTER_ROLE = Kind("ClusterRole", "rbac.authorization.k8s.io/v1")
CLUSTER_ROLE_BINDING = Kind("ClusterRoleBinding", "rbac.authorization.k8s.io/v1")
CONFIG_MAP = Kind("ConfigMap")
CUSTOM_RESOURCE = Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1")
DEPLOYMENT = Kind("Deployment", "apps/v1")
DISRUPTION_BUDGET = Kind("PodDisruptionBudget", "policy/v1")
EVENT = Kind("Event")
JOB = Kind("Job", "batch/v1")
NAMESPACE = Kind("Namespace")
NETWORK_POLICY = Kind("NetworkPolicy", "networking.k8s.io/v1")
NODE = Kind("Node")
POD = Kind("Pod")
POLICY_BINDING = Kind("ValidatingAdmissionPolicyBinding", "admissionregistration.k8s.io/v1")
QUOTA = Kind("ResourceQuota")
SECRET = Kind("Secret")
SERVICE_ACCOUNT = Kind("ServiceAccount")
STATEFUL_SET = Kind("StatefulSet", "apps/v1")
VOLUME_CLAIM = Kind("PersistentVolumeClaim")


class CommandFailed(Exception):
    """A command in a pod ended with a status other than 0, or not in time; the text has what it wrote."""


class Cluster:
    """One cluster, as the user of a kubeconfig.

    Every method raises ``kubernetes.client.ApiException`` where the API server refuses: its ``status`` is the HTTP
    code, its text has the server's message.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._api = config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
        self._core = client.CoreV1Api(self._api)
        # What is found out about kinds is kept in a file unless there is no such folder; a file would outlive the
        # cluster, and processes side by side would write the same one.
        with tempfile.TemporaryDirectory() as gone:
            self._dynamic = DynamicClient(self._api, cache_file=f"{gone}/kinds.json")  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.close()

    # Objects

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, server-side; what others set in the same fields is overwritten."""
        for each in objects:
            resource = self._resource(Kind(each["kind"], each["apiVersion"]))
            self._dynamic.server_side_apply(  # type: ignore[no-untyped-call]
                resource,
                body=dict(each),
                namespace=each["metadata"].get("namespace"),
                field_manager=FIELD_MANAGER,
                force_conflicts=True,
                _request_timeout=REQUEST_SECONDS,
            )

    def get(self, kind: Kind, name: str, namespace: str = "") -> Json:
        """Return an object; ``ApiException`` with status 404 where it does not exist."""
        return self._request("get", kind, name=name, namespace=namespace)

    def find(self, kind: Kind, name: str, namespace: str = "") -> Json | None:
        """Return an object, or None where it does not exist."""
        try:
            return self.get(kind, name, namespace)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    def find_all(self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "") -> list[Json]:
        """Return the objects of a kind that selectors choose, in all namespaces where none is named."""
        chosen = {"label_selector": labels or None, "field_selector": fields or None}
        items: list[Json] = self._request("get", kind, namespace=namespace, **chosen)["items"]
        return items

    def patch(self, kind: Kind, name: str, body: Mapping[str, Any], namespace: str = "") -> Json:
        """Merge a change into an object; None takes a field away."""
        merge = "application/merge-patch+json"
        return self._request("patch", kind, name=name, namespace=namespace, body=dict(body), content_type=merge)

    def delete(self, kind: Kind, name: str, namespace: str = "", *, grace_seconds: int | None = None) -> None:
        """Delete an object and, after it, what it owns; one that does not exist is no error."""
        options: Json = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self._request("delete", kind, name=name, namespace=namespace, body=options)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def wait_gone(self, kind: Kind, name: str, namespace: str = "") -> None:
        """Wait until an object is gone, its finalizers done."""
        wait_for(lambda: self.find(kind, name, namespace), lambda found: found is None, what=f"{kind.name} {name} gone")

    def wait_rolled_out(self, kind: Kind, name: str, namespace: str) -> Json:
        """Wait until all replicas of a Deployment or StatefulSet are of its newest template and available."""

        def is_rolled_out(found: Json) -> bool:
            status, wanted = found.get("status", {}), found["spec"]["replicas"]
            counts = {status.get(each, 0) for each in ("replicas", "updatedReplicas", "availableReplicas")}
            return status.get("observedGeneration") == found["metadata"]["generation"] and counts == {wanted}

        return wait_for(lambda: self.get(kind, name, namespace), is_rolled_out, what=f"{kind.name} {name} rolled out")

    def _request(self, verb: str, kind: Kind, *, namespace: str, **arguments: Any) -> Json:
        """Send one request about objects of a kind and return the JSON of the answer."""
        call = getattr(self._dynamic, verb)
        answer = call(
            self._resource(kind), namespace=namespace or None, serialize=False,
            _request_timeout=REQUEST_SECONDS, **arguments,
        )  # fmt: skip
        return cast("Json", json.loads(answer.data))

    def _resource(self, kind: Kind) -> Any:
        return self._dynamic.resources.get(api_version=kind.api_version, kind=kind.name)

    # Pods

    def evict(self, pod: str, namespace: str) -> None:
        """Ask for a pod's eviction, as a drain does; status 429 where a budget does not allow it."""
        metadata = client.V1ObjectMeta(name=pod, namespace=namespace)
        self._core.create_namespaced_pod_eviction(pod, namespace, client.V1Eviction(metadata=metadata))

    def read_log(self, pod: str, namespace: str, container: str = "") -> str:
        """Return the log of a container, which has to be named where the pod has several."""
        # As bytes: a log that is valid JSON is not text to the client.
        answer = self._core.read_namespaced_pod_log(
            pod, namespace, container=container or None, _preload_content=False, _request_timeout=REQUEST_SECONDS
        )
        return cast("bytes", cast("Any", answer).data).decode(errors="replace")

    def run(self, pod: str, namespace: str, *command: str, container: str = "", stdin: str = "") -> str:
        """Run a command in a container and return its standard output; raise ``CommandFailed`` where it fails."""
        connection = stream.stream(
            self._core.connect_get_namespaced_pod_exec,
            pod,
            namespace,
            command=list(command),
            container=container or None,
            stdin=bool(stdin),
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
        )
        try:
            if stdin:
                connection.write_stdin(stdin)
                connection.close_channel(0)
            connection.run_forever(timeout=REQUEST_SECONDS)
            status, out, err = connection.returncode, connection.read_stdout(), connection.read_stderr()
        finally:
            # Its own close() leaves the socket open where the API server has closed the connection.
            connection.sock.shutdown()
        if status != 0:
            ended = "has not ended" if status is None else f"ended with status {status}"
            raise CommandFailed(f"{command[0]} in {namespace}/{pod} {ended}: {err}{out}")
        return str(out)
