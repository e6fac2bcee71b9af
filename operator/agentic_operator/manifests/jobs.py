"""Manifests of the Jobs: a session's run, and the inspection of a definition.

What their pods look like is in ``pods``.
"""

import json
from typing import Any, Final

from agentic_core.contract import (
    API_DIR,
    ENCRYPTION_DIR,
    ENCRYPTION_SECRET,
    ENCRYPTION_SECRET_KEY,
    EXPECTED_WORKING_DIR,
    GRAPH_DEFAULTS,
    PERMANENT_EXIT_CODES,
    POSTGRES_DIR,
    POSTGRES_SECRET_KEY,
    RESULT_STORE_DIR,
    RESULT_STORE_SECRET,
    SECRET_ENV_DIR,
    WORKING_DIR,
    WORKSPACE_DIR,
    ExitCode,
)
from agentic_core.names import (
    API_VERSION,
    COMPONENT_LABEL,
    INSPECTION_LABEL,
    INSPECTOR_SERVICE_ACCOUNT,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RUN_LABEL,
    RUNNER_CONTAINER,
    RUNNER_SERVICE_ACCOUNT,
    SESSION_LABEL,
    SESSION_UID_LABEL,
    WORKFLOW_LABEL,
    fingerprint,
    inspection_job_name,
    inspection_label,
    job_name,
    workspace_name,
)
from agentic_core.resources import (
    AgenticSession,
    ClusterWorkflowDefinition,
    EnvVar,
    Resource,
    RunDefaults,
    WorkflowDefinition,
    WorkflowSnapshot,
    WorkflowSpec,
)
from agentic_core.resources.graph_config import RunLimits
from agentic_core.resources.pod import EmptyDirVolume, Volume
from agentic_core.run_settings import merge_settings
from agentic_core.writable_paths import find_writable_paths
from agentic_operator.config import JobDefaults
from agentic_operator.manifests.database_access import build_database_access
from agentic_operator.manifests.pods import (
    Manifest,
    add_extra_volumes,
    add_secret_sources,
    add_writable_paths,
    build_api_volume,
    build_env,
    build_job_labels,
    build_pod_metadata,
    build_pod_spec,
    build_resources,
    build_secret_volume,
    escape_variables,
    limit_scratch,
    list_secret_sources,
    list_session_labels,
)

INSPECTION_SECONDS: Final = 300
INSPECTION_TTL_SECONDS: Final = 3600
# What an inspection sees of a value that it is not given: most clients take it until they are used.
PLACEHOLDER: Final = "placeholder"

Definition = WorkflowDefinition | ClusterWorkflowDefinition


def owner_reference(owner: Resource) -> Manifest:
    """Return the reference that lets the garbage collector delete a child with its owner.

    ``blockOwnerDeletion`` stays false: a child must never hold up the deletion of its session.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def effective_retries(session: AgenticSession, definition: WorkflowSpec | None, defaults: JobDefaults) -> int:
    """Return how often a failed attempt is repeated: the session's word, then the definition's, then the default."""
    given = session.spec.retries
    if given is None and definition is not None and definition.defaults is not None:
        given = definition.defaults.retries
    return defaults.retries if given is None else given


def effective_limits(session: AgenticSession, definition: WorkflowSpec | None, defaults: JobDefaults) -> RunLimits:
    """Return what ends a run that would go on for ever: the session's word, then the definition's, then the default."""
    said = definition.defaults if definition is not None else None
    settings = merge_settings(said.config if said is not None else None, None, session.spec.config)
    timeout = session.spec.timeout_seconds
    if timeout is None and said is not None:
        timeout = said.timeout_seconds
    return RunLimits(
        recursion_limit=defaults.recursion_limit if settings.recursion_limit is None else settings.recursion_limit,
        timeout_seconds=defaults.timeout_seconds if timeout is None else timeout,
    )


def effective_ttl(session: AgenticSession, definition: WorkflowSpec | None) -> int | None:
    """Return after how many seconds the finished session is deleted; None for never."""
    given = session.spec.ttl_seconds_after_finished
    if given is None and definition is not None and definition.defaults is not None:
        given = definition.defaults.ttl_seconds_after_finished
    return given


def effective_keep_warm(session: AgenticSession, definition: WorkflowSpec | None) -> int:
    """Return how many seconds a run's pod stays for quick answers, all its questions together."""
    given = session.spec.keep_warm_seconds
    if given is None and definition is not None and definition.defaults is not None:
        given = definition.defaults.keep_warm_seconds
    return given or 0


def build_claim(session: AgenticSession, spec: WorkflowSpec) -> Manifest | None:
    """Return the claim of the session's workspace; None where the definition asks for none."""
    if spec.workspace is None:
        return None
    claim: Manifest = {
        "accessModes": list(spec.workspace.access_modes) or ["ReadWriteOnce"],
        "resources": {"requests": {"storage": spec.workspace.size}},
    }
    if spec.workspace.storage_class_name is not None:
        claim["storageClassName"] = spec.workspace.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": workspace_name(session.name),
            "namespace": session.namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, SESSION_LABEL: session.name},
            "ownerReferences": [owner_reference(session)],
        },
        "spec": claim,
    }


def run_labels(session: AgenticSession, run: int) -> dict[str, str]:
    """Return the labels of ours that the Job and the pods of a run carry."""
    return {
        SESSION_LABEL: session.name,
        RUN_LABEL: str(run),
        WORKFLOW_LABEL: session.spec.workflow_ref.name,
        MANAGED_BY_LABEL: MANAGED_BY,
        COMPONENT_LABEL: "runner",
    }


def build_job(
    session: AgenticSession,
    snapshot: WorkflowSnapshot,
    spec: WorkflowSpec | None,
    run: int,
    thread_id: str,
    defaults: JobDefaults,
    *,
    account: str = RUNNER_SERVICE_ACCOUNT,
) -> Manifest:
    """Return the Job of one run, whose pods run as ``account``.

    ``snapshot`` says which image and graph; ``spec`` how the pod is furnished, None where nothing was pinned and the
    definition is gone.
    """
    name = job_name(session.name, run)
    labels = run_labels(session, run)
    given = list_session_labels(session, defaults.session_labels)
    retries = effective_retries(session, spec, defaults)
    keep_warm = effective_keep_warm(session, spec)
    # Those that the status shows, once it does: the operator's defaults may have changed since.
    limits = session.status.limits or effective_limits(session, spec, defaults)
    timeout = limits.timeout_seconds or defaults.timeout_seconds
    env = [
        *build_env(
            SESSION_NAME=session.name,
            SESSION_UID=session.metadata.uid,
            NAMESPACE=session.namespace,
            RUN=str(run),
            JOB_NAME=name,
            THREAD_ID=thread_id,
            GRAPH=escape_variables(snapshot.graph or ""),
            WORKFLOW_IMAGE=snapshot.image_digest or snapshot.image,
            BACKEND_URL=defaults.backend_url,
            WEBSOCKET_URL="",
            TOKEN_FILE=f"{API_DIR}/token",
            API_CA_FILE=f"{API_DIR}/ca.crt",
            POSTGRES_CONNECTION_STRING_FILE=f"{POSTGRES_DIR}/{POSTGRES_SECRET_KEY}",
            RESULT_STORE_DIR=RESULT_STORE_DIR if defaults.has_result_store else "",
            ENCRYPTION_KEYS_FILE=f"{ENCRYPTION_DIR}/{ENCRYPTION_SECRET_KEY}" if defaults.has_encryption else "",
            WORKSPACE_DIR=WORKSPACE_DIR,
            CHECKPOINT_RETENTION_DAYS=str(defaults.retention_days),
            RETRIES=str(retries),
            KEEP_WARM_SECONDS=str(keep_warm),
            DURABILITY="sync",
            LANGGRAPH_STRICT_MSGPACK="true",
            HOME="/tmp",  # noqa: S108  (the pod's own emptyDir)
            SESSION_ENV=",".join(entry.name for entry in session.spec.env if _is_listed(entry, spec)),
            MOUNTED_PATHS=_list_mounted(spec),
            **_tell_secrets(spec, session),
        ),
        *_merged_env(spec, session),
    ]
    access = build_database_access(defaults.vault, session.namespace)
    volumes: list[Manifest] = [
        {"name": "tmp", "emptyDir": {}},
        {
            "name": "workspace",
            **(
                {"persistentVolumeClaim": {"claimName": workspace_name(session.name)}}
                if spec is not None and spec.workspace is not None
                else {"emptyDir": {}}
            ),
        },
        build_api_volume(),
        *access.volumes,
    ]
    mounts: list[Manifest] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "workspace", "mountPath": WORKSPACE_DIR},
        {"name": "api", "mountPath": API_DIR, "readOnly": True},
        {"name": "postgres", "mountPath": POSTGRES_DIR, "readOnly": True},
    ]
    if defaults.has_result_store:
        volumes.append(build_secret_volume("results", RESULT_STORE_SECRET))
        mounts.append({"name": "results", "mountPath": RESULT_STORE_DIR, "readOnly": True})
    if defaults.has_encryption:
        volumes.append(build_secret_volume("encryption", ENCRYPTION_SECRET))
        mounts.append({"name": "encryption", "mountPath": ENCRYPTION_DIR, "readOnly": True})
    add_secret_sources(spec, volumes, mounts)
    add_extra_volumes(spec, volumes, mounts)
    add_writable_paths(spec, volumes, mounts)
    resources = build_resources(session, spec, defaults)
    pod = build_pod_spec(
        spec,
        service_account=account,
        image=snapshot.image_digest or snapshot.image,
        arguments=None,
        env=env,
        resources=resources,
        volumes=limit_scratch(volumes, resources),
        mounts=mounts,
        leaves_user=defaults.leaves_user,
    )
    if access.init_containers:
        pod["initContainers"] = list(access.init_containers)
    job: Manifest = {
        "backoffLimit": retries,
        "completions": 1,
        "parallelism": 1,
        "ttlSecondsAfterFinished": defaults.job_ttl_seconds,
        # A warm pod's wait is no execution, but goes on in its Job.
        "activeDeadlineSeconds": timeout + keep_warm,
        # A new pod only when the old one is really over: two runners of one thread would only fence each other.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [*_failure_rules(), *access.failure_rules]},
        "template": {"metadata": build_pod_metadata(spec, {**given, **labels}), "spec": pod},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": session.namespace,
            "labels": {**build_job_labels(spec, session), **given, **labels, SESSION_UID_LABEL: session.metadata.uid},
            "ownerReferences": [owner_reference(session)],
        },
        "spec": job,
    }


def inspection_fingerprint(spec: WorkflowSpec) -> str:
    """Return what stands for everything in a definition that its inspection depends on."""
    parts = spec.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        include={
            "image",
            "image_pull_policy",
            "image_pull_secrets",
            "graph",
            "env",
            "env_from",
            "pod_template",
            "inspection",
        },
    )
    if given := _graph_defaults(spec):
        parts["graphDefaults"] = given
    return fingerprint(json.dumps(parts, sort_keys=True))


def _graph_defaults(spec: WorkflowSpec) -> dict[str, Any]:
    """Return the config and context that all sessions of a definition get; empty where it gives none."""
    said = spec.defaults or RunDefaults()
    config = said.config.model_dump(mode="json", by_alias=True, exclude_defaults=True) if said.config else {}
    return {**({"config": config} if config else {}), **({"context": said.context} if said.context else {})}


def _expect_working_dir(spec: WorkflowSpec) -> dict[str, str]:
    """Return what lets an inspection tell that writable paths are mounted elsewhere than the image works."""
    template = spec.pod_template
    if template is None or not template.writable_paths or template.working_dir is not None:
        return {}
    return {EXPECTED_WORKING_DIR: WORKING_DIR}


def build_inspection_job(definition: Definition, namespace: str, defaults: JobDefaults) -> Manifest:
    """Return the Job that loads a definition's graph in its own image, without any secret of ours.

    Beside a definition of a namespace it has what sessions have of it. One of the cluster is inspected in a namespace
    of nobody's, and has nothing that an object of a namespace would have to give.
    """
    is_of_cluster = isinstance(definition, ClusterWorkflowDefinition)
    spec = without_references(definition.spec) if is_of_cluster else definition.spec
    labels = {
        INSPECTION_LABEL: inspection_label(definition.kind, definition.name),
        MANAGED_BY_LABEL: MANAGED_BY,
        COMPONENT_LABEL: "inspector",
    }
    given = _graph_defaults(spec)
    env = [
        *build_env(
            GRAPH=escape_variables(spec.graph or ""),
            WORKFLOW_IMAGE=spec.image,
            WORKSPACE_DIR=WORKSPACE_DIR,
            LANGGRAPH_STRICT_MSGPACK="true",
            HOME="/tmp",  # noqa: S108
            MOUNTED_PATHS=_list_mounted(spec),
            **_tell_secrets(spec),
            # A dollar sign would begin a reference to another variable.
            **({GRAPH_DEFAULTS: json.dumps(given, ensure_ascii=False).replace("$", "$$")} if given else {}),
            **_expect_working_dir(spec),
        ),
        *_inspection_env(spec),
    ]
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {}}, {"name": "workspace", "emptyDir": {}}]
    mounts: list[Manifest] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "workspace", "mountPath": WORKSPACE_DIR},
    ]
    add_secret_sources(spec, volumes, mounts)
    add_extra_volumes(spec, volumes, mounts)
    add_writable_paths(spec, volumes, mounts)
    resources = build_resources(None, spec, defaults)
    pod = build_pod_spec(
        spec,
        service_account=INSPECTOR_SERVICE_ACCOUNT,
        image=spec.image,
        arguments=["inspect"],
        env=env,
        resources=resources,
        volumes=limit_scratch(volumes, resources),
        mounts=mounts,
        leaves_user=defaults.leaves_user,
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": inspection_job_name(definition.name, definition.kind, inspection_fingerprint(definition.spec)),
            "namespace": namespace,
            "labels": {**build_job_labels(spec), **labels},
            "ownerReferences": [owner_reference(definition)],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": INSPECTION_SECONDS,
            "ttlSecondsAfterFinished": INSPECTION_TTL_SECONDS,
            "template": {"metadata": build_pod_metadata(spec, labels), "spec": pod},
        },
    }


def without_references(spec: WorkflowSpec) -> WorkflowSpec:
    """Return the spec without what Secrets, ConfigMaps and claims give: a placeholder, an empty folder, nothing."""
    template = spec.pod_template
    if template is not None:
        # Whatever source a volume has, now or later: all but scratch space is an object of a namespace.
        volumes = tuple(
            Volume(name=each.name, mount_path=each.mount_path, empty_dir=each.empty_dir or EmptyDirVolume())
            for each in template.volumes
        )
        template = template.model_copy(update={"volumes": volumes})
    env = tuple(entry if entry.value_from is None else EnvVar(name=entry.name, value=PLACEHOLDER) for entry in spec.env)
    return spec.model_copy(update={"env": env, "env_from": (), "pod_template": template})


def _inspection_env(spec: WorkflowSpec) -> list[Manifest]:
    given = spec.inspection.env if spec.inspection is not None else ()
    merged = {entry.name: entry.to_wire() for entry in spec.env}
    merged.update((entry.name, {"name": entry.name, "value": escape_variables(entry.value)}) for entry in given)
    return list(merged.values())


def _tell_secrets(spec: WorkflowSpec | None, session: AgenticSession | None = None) -> dict[str, str]:
    """Return what lets a runner know which variables hold secrets: names and folders, never a value."""
    given = (*(spec.env if spec is not None else ()), *(session.spec.env if session is not None else ()))
    named = dict.fromkeys(each.name for each in given if each.value_from and each.value_from.secret_key_ref)
    folders = [f"{SECRET_ENV_DIR}/{index}" for index, _ in list_secret_sources(spec)]
    return {"SECRET_ENV": ",".join(named), "SECRET_ENV_FOLDERS": ":".join(folders)}


def _list_mounted(spec: WorkflowSpec | None) -> str:
    """Return the folders that the image does not fill: no code is loaded from them."""
    template = spec.pod_template if spec is not None else None
    volumes = (each.mount_path for each in (template.volumes if template is not None else ()))
    return ":".join(("/tmp", WORKSPACE_DIR, *volumes, *(path for path, _ in find_writable_paths(spec))))  # noqa: S108


def _is_listed(entry: EnvVar, spec: WorkflowSpec | None) -> bool:
    return spec is not None and entry.name in spec.session_env and entry.value_from is None


def _merged_env(spec: WorkflowSpec | None, session: AgenticSession) -> list[Manifest]:
    """Return the definition's variables; those of its sessions never reach a pod's environment.

    Its runner takes them by their names in SESSION_ENV, after everything is loaded that variables could change. A
    session that was accepted before there was ``sessionEnv`` keeps what it had: it runs on as it began.
    """
    merged = {entry.name: entry.to_wire() for entry in (spec.env if spec is not None else ())}
    merged.update((entry.name, entry.to_wire()) for entry in session.spec.env if not _is_listed(entry, spec))
    return list(merged.values())


def _failure_rules() -> list[Manifest]:
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "Ignore",
            "onExitCodes": {"containerName": RUNNER_CONTAINER, "operator": "In", "values": [int(ExitCode.DRAINED)]},
        },
        {
            "action": "FailJob",
            "onExitCodes": {
                "containerName": RUNNER_CONTAINER,
                "operator": "In",
                "values": [int(code) for code in PERMANENT_EXIT_CODES],
            },
        },
    ]
