"""Builds the pods of Jobs: their security context, and the fields that an author may change.

Secrets are files that only the runner's own user can read. Nothing in a definition can change the container's identity,
replace one of our volumes, or reach the node.

We set the user, or the cluster does (``leaves_user``): OpenShift gives each namespace a range of users and refuses any
other. Such a user is unknown to the image; its groups are 0 and, if the cluster assigns one, ``fsGroup``. Files of a
Secret belong to root and to that group, or to group 0 without one: mode 0440 lets only this user read them in both
cases. With an ``fsGroup``, mode 0400 is enough, because the kubelet adds the group's right.
"""

from typing import Any, Final

from agentic_core.contract import GATEWAY_AUDIENCE, SECRET_ENV_DIR, WORKSPACE_DIR
from agentic_core.names import API_VERSION, GATEWAY_CA_ANNOTATION, RUNNER_CONTAINER
from agentic_core.quantities import format_bytes, parse_bytes
from agentic_core.resources import AgenticSession, SessionSpec, WorkflowSpec
from agentic_core.resources.pod import ObjectName
from agentic_core.writable_paths import find_writable_paths
from agentic_operator.author_pods import Listed
from agentic_operator.config import GatewayAccess, JobDefaults

RUNNER_UID: Final = 65532
GRACE_SECONDS: Final = 30
TOKEN_SECONDS: Final = 3600
# Kueue's: the queue that a Job waits in, and how urgent it is there.
_DISK: Final = "ephemeral-storage"
QUEUE_LABELS: Final = ("kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class")

Manifest = dict[str, Any]


def build_env(**values: str) -> list[Manifest]:
    """Return plain variables."""
    return [{"name": name, "value": value} for name, value in values.items()]


def escape_variables(text: str) -> str:
    """Return ``text`` as the value of a variable that Kubernetes leaves as it is: ``$(NAME)`` would be replaced."""
    return text.replace("$", "$$")


def build_secret_hints(spec: WorkflowSpec | None, session: AgenticSession | None = None) -> dict[str, str]:
    """Return what lets a runner know which variables hold secrets: names and folders, never a value."""
    given = (*(spec.env if spec is not None else ()), *(session.spec.env if session is not None else ()))
    named = dict.fromkeys(each.name for each in given if each.value_from and each.value_from.secret_key_ref)
    folders = [f"{SECRET_ENV_DIR}/{index}" for index, _ in list_secret_sources(spec)]
    return {"SECRET_ENV": ",".join(named), "SECRET_ENV_FOLDERS": ":".join(folders)}


def list_mounted_paths(spec: WorkflowSpec | None) -> str:
    """Return the folders that the image does not fill: no code is loaded from them."""
    template = spec.pod_template if spec is not None else None
    volumes = (each.mount_path for each in (template.volumes if template is not None else ()))
    return ":".join(("/tmp", WORKSPACE_DIR, *volumes, *(path for path, _ in find_writable_paths(spec))))  # noqa: S108


def build_resources(session: AgenticSession | None, spec: WorkflowSpec | None, defaults: JobDefaults) -> Manifest:
    """Return consistent requests and limits: the session's, else the definition's, else the default."""
    requests, limits = dict(defaults.requests), dict(defaults.limits)
    for given in (spec.resources if spec is not None else None, session.spec.resources if session else None):
        if given is None:
            continue
        requests.update(given.requests or {})
        limits.update(given.limits or {})
        # A limit below our default request would be refused: the author's value wins.
        for name in given.limits or {}:
            if name not in (given.requests or {}):
                requests[name] = limits[name]
        for name in given.requests or {}:
            if name not in (given.limits or {}) and name in limits:
                del limits[name]
    if _DISK in limits and not any(_says_disk(given) for given in (spec, session.spec if session else None)):
        limits[_DISK] = format_bytes(parse_bytes(limits[_DISK]) + _count_declared(spec))
    return {"requests": requests, "limits": limits}


def _says_disk(given: WorkflowSpec | SessionSpec | None) -> bool:
    resources = given.resources if given is not None else None
    return resources is not None and _DISK in {**(resources.requests or {}), **(resources.limits or {})}


def _count_declared(spec: WorkflowSpec | None) -> int:
    """Return how many bytes of the node's disk a definition's folders may hold: the default limit is for all else."""
    template = spec.pod_template if spec is not None else None
    volumes = template.volumes if template is not None else ()
    sizes = [each.empty_dir.size_limit for each in volumes if each.empty_dir and each.empty_dir.medium != "Memory"]
    return sum(parse_bytes(size) for size in (*sizes, *(size for _, size in find_writable_paths(spec))) if size)


def limit_scratch(volumes: list[Manifest], resources: Manifest) -> list[Manifest]:
    """Return the volumes, each empty folder on the node's disk with a limit: its own, else that of the whole pod.

    The pod's limit holds for all of them together; a folder that reaches it is named when the pod is evicted.
    """
    limit = resources["limits"].get(_DISK)

    def is_open(volume: Manifest) -> bool:
        folder = volume.get("emptyDir")
        return folder is not None and folder.get("medium") != "Memory" and "sizeLimit" not in folder

    if limit is None:
        return volumes
    return [
        {**volume, "emptyDir": {**volume["emptyDir"], "sizeLimit": limit}} if is_open(volume) else volume
        for volume in volumes
    ]


def build_api_volume() -> Manifest:
    """Return the volume with the pod's own token, renewed by the kubelet, and the cluster's authority."""
    return {
        "name": "api",
        "projected": {
            "defaultMode": 0o400,
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            ],
        },
    }


def reports_to_gateway(spec: WorkflowSpec | None) -> bool:
    """Return whether a definition's runner speaks to the gateway and never to the API server."""
    return spec is not None and spec.reports_to == "Gateway"


def build_gateway_volume(gateway: GatewayAccess | None) -> Manifest:
    """Return the volume with a token that only the gateway takes, and what vouches for the gateway."""
    token = {"path": "token", "audience": GATEWAY_AUDIENCE, "expirationSeconds": TOKEN_SECONDS}
    sources: list[Manifest] = [{"serviceAccountToken": token}]
    if gateway is not None and gateway.authorities:
        field = {"fieldPath": f"metadata.annotations['{GATEWAY_CA_ANNOTATION}']"}
        sources.append({"downwardAPI": {"items": [{"path": "ca.crt", "fieldRef": field}]}})
    return {"name": "api", "projected": {"defaultMode": 0o400, "sources": sources}}


def build_secret_volume(name: str, secret: str) -> Manifest:
    """Return a volume with all keys of a Secret, for the runner's own uid."""
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o400}}


def list_secret_sources(spec: WorkflowSpec | None) -> list[tuple[int, ObjectName]]:
    """Return the Secrets that a definition takes as a whole, with their places in its ``envFrom``."""
    sources = enumerate(spec.env_from if spec is not None else ())
    return [(index, source.secret_ref) for index, source in sources if source.secret_ref is not None]


def add_secret_sources(spec: WorkflowSpec | None, volumes: list[Manifest], mounts: list[Manifest]) -> None:
    """Show the runner, as files, which values its environment has from Secrets: only so can it mask them."""
    for index, secret in list_secret_sources(spec):
        source: Manifest = {"secretName": secret.name, "defaultMode": 0o400}
        if secret.optional is not None:
            source["optional"] = secret.optional
        volumes.append({"name": f"env-{index}", "secret": source})
        mounts.append({"name": f"env-{index}", "mountPath": f"{SECRET_ENV_DIR}/{index}", "readOnly": True})


def add_extra_volumes(spec: WorkflowSpec | None, volumes: list[Manifest], mounts: list[Manifest]) -> None:
    """Add the definition's volumes, under names that differ from ours."""
    for volume in spec.pod_template.volumes if spec is not None and spec.pod_template is not None else ():
        wire = volume.to_wire()
        path = wire.pop("mountPath")
        # Prefixed: an author's volume can never take the place of one of ours.
        wire["name"] = f"x-{volume.name}"
        volumes.append(wire)
        mounts.append({"name": wire["name"], "mountPath": path})


def add_writable_paths(spec: WorkflowSpec | None, volumes: list[Manifest], mounts: list[Manifest]) -> None:
    """Mount an empty folder with a limit at each path that a definition declares as writable."""
    for index, (path, limit) in enumerate(find_writable_paths(spec)):
        volumes.append({"name": f"w-{index}", "emptyDir": {"sizeLimit": limit}})
        mounts.append({"name": f"w-{index}", "mountPath": path})


def build_pod_metadata(
    spec: WorkflowSpec | None, labels: dict[str, str], gateway: GatewayAccess | None = None
) -> Manifest:
    """Return labels and annotations: the author's, without those that mean something to Kubernetes or to us."""
    template = spec.pod_template if spec is not None else None
    metadata: Manifest = {"labels": {**_list_labels(spec), **labels}}
    annotations = dict(template.annotations or {}) if template is not None else {}
    if gateway is not None and gateway.authorities and reports_to_gateway(spec):
        annotations[GATEWAY_CA_ANNOTATION] = gateway.authorities
    return {**metadata, "annotations": annotations} if annotations else metadata


def build_job_labels(spec: WorkflowSpec | None, session: AgenticSession | None = None) -> dict[str, str]:
    """Return the author's labels of a Job: those of its pods, and those by which queues for Jobs know it.

    A session may name its own queue. Its other labels are copied only if the operator's settings list them: a label
    could put its pods under other people's policies and services, and a GitOps tool's label on the Job would make that
    tool delete the Job, because Git does not contain it.
    """
    template = spec.pod_template if spec is not None else None
    given = (template.labels if template is not None else None) or {}
    own = session.metadata.labels if session is not None else {}
    queues = {name: value for labels in (given, own) for name, value in labels.items() if name in QUEUE_LABELS}
    return {**_list_labels(spec), **queues}


def list_session_labels(session: AgenticSession, listed: Listed) -> dict[str, str]:
    """Return the labels of a session that its Job and pods carry."""
    own = session.metadata.labels
    return {name: value for name, value in own.items() if listed.allows(name) and not _is_reserved(name)}


def _list_labels(spec: WorkflowSpec | None) -> dict[str, str]:
    template = spec.pod_template if spec is not None else None
    return {k: v for k, v in ((template.labels if template else None) or {}).items() if not _is_reserved(k)}


def _is_reserved(label: str) -> bool:
    domain = label.partition("/")[0]
    return domain.endswith(("kubernetes.io", "k8s.io", "argoproj.io", "fluxcd.io", API_VERSION.partition("/")[0]))


def build_container_context() -> Manifest:
    """Return what every container of ours is held to."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "privileged": False,
    }


def _let_group_read(volume: Manifest) -> Manifest:
    """Return one of our volumes of secret files so that its group reads them, too."""
    source = next((kind for kind in ("secret", "projected") if "defaultMode" in volume.get(kind, {})), None)
    if source is None:
        return volume
    return {**volume, source: {**volume[source], "defaultMode": 0o440}}


def build_pod_spec(
    spec: WorkflowSpec | None,
    *,
    service_account: str,
    image: str,
    arguments: list[str] | None,
    env: list[Manifest],
    resources: Manifest,
    volumes: list[Manifest],
    mounts: list[Manifest],
    leaves_user: bool = False,
) -> Manifest:
    """Return a pod of one container that passes the ``restricted`` Pod Security Standard.

    ``leaves_user`` is whether the cluster says who the pod runs as.
    """
    container: Manifest = {
        "name": RUNNER_CONTAINER,
        "image": image,
        "env": env,
        "resources": resources,
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": build_container_context(),
    }
    # The entry point stays the image's own: whatever keeps the contract can be a runner.
    if arguments:
        container["args"] = arguments
    pod: Manifest = {
        "restartPolicy": "Never",
        "serviceAccountName": service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            **({} if leaves_user else dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), RUNNER_UID)),
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [_let_group_read(volume) for volume in volumes] if leaves_user else volumes,
    }
    if spec is None:
        return pod
    if spec.image_pull_policy is not None:
        container["imagePullPolicy"] = spec.image_pull_policy
    if spec.env_from:
        container["envFrom"] = [source.to_wire() for source in spec.env_from]
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [secret.to_wire() for secret in spec.image_pull_secrets]
    template = spec.pod_template
    if template is not None:
        if template.working_dir is not None:
            container["workingDir"] = template.working_dir
        pod.update(
            template.model_dump(
                mode="json",
                by_alias=True,
                exclude_none=True,
                include={"node_selector", "tolerations", "affinity", "runtime_class_name", "priority_class_name"},
            )
        )
        if not pod.get("tolerations"):
            pod.pop("tolerations", None)
    return pod
