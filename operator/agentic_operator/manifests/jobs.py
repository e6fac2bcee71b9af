"""Manifests of a session's run: its Job, and the claim of its workspace; what its pod looks like is in ``pods``."""

from agentic_core.contract import (
    API_DIR,
    ENCRYPTION_DIR,
    ENCRYPTION_SECRET,
    ENCRYPTION_SECRET_KEY,
    PERMANENT_EXIT_CODES,
    POSTGRES_DIR,
    POSTGRES_SECRET_KEY,
    RESULT_STORE_DIR,
    RESULT_STORE_SECRET,
    WORKSPACE_DIR,
    ExitCode,
)
from agentic_core.names import (
    API_VERSION,
    COMPONENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RUN_LABEL,
    RUNNER_CONTAINER,
    RUNNER_SERVICE_ACCOUNT,
    SESSION_LABEL,
    SESSION_UID_LABEL,
    WORKFLOW_LABEL,
    job_name,
    notify_channel,
    workspace_name,
)
from agentic_core.resources import (
    AgenticSession,
    ClusterWorkflowDefinition,
    EnvVar,
    Resource,
    WorkflowDefinition,
    WorkflowSnapshot,
    WorkflowSpec,
)
from agentic_core.resources.graph_config import RunLimits
from agentic_core.resources.workflow import SessionApi
from agentic_core.run_settings import merge_settings
from agentic_core.trace_context import (
    TRACE_ANNOTATION,
    Sampler,
    SpanContext,
    derive_start_id,
    derive_trace_id,
    parse_traceparent,
    read_traceparent,
)
from agentic_operator.config import GatewayAccess, JobDefaults
from agentic_operator.manifests.database_access import DatabaseAccess, build_database_access
from agentic_operator.manifests.pods import (
    Manifest,
    add_extra_volumes,
    add_secret_sources,
    add_writable_paths,
    build_api_volume,
    build_env,
    build_gateway_volume,
    build_job_labels,
    build_pod_metadata,
    build_pod_spec,
    build_resources,
    build_secret_hints,
    build_secret_volume,
    escape_variables,
    limit_scratch,
    list_mounted_paths,
    list_session_labels,
    reports_to_gateway,
)

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


def effective_idle_deadline(
    session: AgenticSession, definition: WorkflowSpec | None, defaults: JobDefaults
) -> int | None:
    """Return after how many seconds an idle conversation ends; None for never."""
    if session.spec.idle_deadline_seconds is not None:
        return session.spec.idle_deadline_seconds
    ttl = effective_ttl(session, definition)
    return ttl if ttl is not None else defaults.retention_days * 86_400 or None


def _build_deadline(session: AgenticSession, timeout: int, spec: WorkflowSpec | None) -> dict[str, int]:
    """Return the Job's deadline; none for one that may serve several turns: the operator holds each to its own.

    A warm pod's wait is no execution, but goes on in its Job.
    """
    keep_warm = effective_keep_warm(session, spec)
    return {} if session.is_conversation and keep_warm else {"activeDeadlineSeconds": timeout + keep_warm}


def build_claim(session: AgenticSession, spec: WorkflowSpec) -> Manifest | None:
    """Return the claim of the session's workspace; None if the definition asks for none."""
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

    ``snapshot`` says which image and graph; ``spec`` how the pod is furnished, None if nothing was pinned and the
    definition is gone.
    """
    # Those that the status shows, once it does: the operator's defaults may have changed since.
    limits = session.status.limits or effective_limits(session, spec, defaults)
    access = build_database_access(defaults.vault, session.namespace)
    given = list_session_labels(session, defaults.session_labels)
    labels = {**given, **run_labels(session, run)}
    env = _build_run_env(session, snapshot, spec, run, thread_id, defaults)
    pod = _build_run_pod(session, snapshot, spec, env, defaults, access, account)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(session.name, run),
            "namespace": session.namespace,
            "labels": {**build_job_labels(spec, session), **labels, SESSION_UID_LABEL: session.metadata.uid},
            "ownerReferences": [owner_reference(session)],
        },
        "spec": {
            "backoffLimit": effective_retries(session, spec, defaults),
            "completions": 1,
            "parallelism": 1,
            "ttlSecondsAfterFinished": defaults.job_ttl_seconds,
            **_build_deadline(session, limits.timeout_seconds or defaults.timeout_seconds, spec),
            # A new pod only when the old one is really over: two runners of one thread would only fence each other.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [*_failure_rules(), *access.failure_rules]},
            "template": {"metadata": build_pod_metadata(spec, labels, defaults.gateway), "spec": pod},
        },
    }


def _build_run_env(
    session: AgenticSession,
    snapshot: WorkflowSnapshot,
    spec: WorkflowSpec | None,
    run: int,
    thread_id: str,
    defaults: JobDefaults,
) -> list[Manifest]:
    """Return what the runner's contract tells a run, then the variables of the definition."""
    return [
        *build_env(
            SESSION_NAME=session.name,
            SESSION_UID=session.metadata.uid,
            NAMESPACE=session.namespace,
            RUN=str(run),
            JOB_NAME=job_name(session.name, run),
            THREAD_ID=thread_id,
            GRAPH=escape_variables(snapshot.graph or ""),
            WORKFLOW_IMAGE=snapshot.image_digest or snapshot.image,
            **_build_backend(spec, defaults),
            TOKEN_FILE=f"{API_DIR}/token",
            POSTGRES_CONNECTION_STRING_FILE=f"{POSTGRES_DIR}/{POSTGRES_SECRET_KEY}",
            RESULT_STORE_DIR=RESULT_STORE_DIR if defaults.has_result_store else "",
            ENCRYPTION_KEYS_FILE=f"{ENCRYPTION_DIR}/{ENCRYPTION_SECRET_KEY}" if defaults.has_encryption else "",
            WORKSPACE_DIR=WORKSPACE_DIR,
            CHECKPOINT_RETENTION_DAYS=str(defaults.retention_days),
            RETRIES=str(effective_retries(session, spec, defaults)),
            KEEP_WARM_SECONDS=str(effective_keep_warm(session, spec)),
            NOTIFY_CHANNEL=notify_channel(session.metadata.uid) if defaults.notifies else "",
            **_build_session_api(spec),
            TRACEPARENT=_find_traceparent(session, run, defaults.sampler),
            TRACES_ENDPOINT=defaults.traces_endpoint,
            DURABILITY="sync",
            LANGGRAPH_STRICT_MSGPACK="true",
            HOME="/tmp",  # noqa: S108  (the pod's own emptyDir)
            SESSION_ENV=",".join(entry.name for entry in session.spec.env if _is_listed(entry, spec)),
            MOUNTED_PATHS=list_mounted_paths(spec),
            **build_secret_hints(spec, session),
        ),
        *_merged_env(spec, session),
    ]


def find_start(session: AgenticSession, run: int, sampler: Sampler) -> tuple[SpanContext, SpanContext | None]:
    """Return the span in which the operator makes a run, and its parent: the request's, if the session names one.

    The same at each call: a Job that is made again after a crash is not made in another span.
    """
    parent = parse_traceparent(session.metadata.annotations.get(TRACE_ANNOTATION))
    trace = parent.trace_id if parent is not None else derive_trace_id(session.metadata.uid)
    return SpanContext(trace, derive_start_id(session.metadata.uid, run), sampler.samples(trace, parent)), parent


def _find_traceparent(session: AgenticSession, run: int, sampler: Sampler | None) -> str:
    """Return the parent of a run's span: the operator's where it sends spans, else the request's as it is."""
    if sampler is None:
        return read_traceparent(session.metadata.annotations.get(TRACE_ANNOTATION))
    return find_start(session, run, sampler)[0].traceparent


def _build_session_api(spec: WorkflowSpec | None) -> dict[str, str]:
    """Return what a run shows of itself beside its status."""
    said = spec.api if spec is not None and spec.api is not None else SessionApi()
    return {"STATE_API": said.state or "None", "STREAM_TOKENS": "false" if said.stream_tokens is False else "true"}


def _build_backend(spec: WorkflowSpec | None, defaults: JobDefaults) -> dict[str, str]:
    """Return whom a runner speaks to, and what vouches for them."""
    gateway = defaults.gateway or GatewayAccess("")
    websocket = gateway.websocket_url if gateway.url else ""
    if not reports_to_gateway(spec):
        return {
            "BACKEND_URL": defaults.backend_url,
            "WEBSOCKET_URL": websocket,
            "API_CA_FILE": f"{API_DIR}/ca.crt",
        }
    # Without one, a session that began while there was a gateway has a runner that names the variable.
    return {
        "BACKEND_URL": gateway.url,
        "WEBSOCKET_URL": websocket,
        "API_CA_FILE": f"{API_DIR}/ca.crt" if gateway.authorities else "",
    }


def _build_run_pod(
    session: AgenticSession,
    snapshot: WorkflowSnapshot,
    spec: WorkflowSpec | None,
    env: list[Manifest],
    defaults: JobDefaults,
    access: DatabaseAccess,
    account: str,
) -> Manifest:
    """Return the pod of a run: the image with our folders, the definition's, and what the database's login needs."""
    volumes, mounts = _build_run_volumes(session, spec, defaults, access)
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
    return pod


def _build_run_volumes(
    session: AgenticSession, spec: WorkflowSpec | None, defaults: JobDefaults, access: DatabaseAccess
) -> tuple[list[Manifest], list[Manifest]]:
    """Return the volumes of a run's pod and where they are mounted: ours, then the definition's."""
    has_claim = spec is not None and spec.workspace is not None
    claim = {"persistentVolumeClaim": {"claimName": workspace_name(session.name)}}
    volumes: list[Manifest] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "workspace", **(claim if has_claim else {"emptyDir": {}})},
        build_gateway_volume(defaults.gateway) if reports_to_gateway(spec) else build_api_volume(),
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
    return volumes, mounts


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
