"""The Job that inspects a definition: it loads the graph in the definition's own image, without any secret of ours."""

import json
from typing import Any, Final

from agentic_core.contract import EXPECTED_WORKING_DIR, GRAPH_DEFAULTS, WORKING_DIR, WORKSPACE_DIR
from agentic_core.names import (
    COMPONENT_LABEL,
    INSPECTION_LABEL,
    INSPECTOR_SERVICE_ACCOUNT,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    fingerprint,
    inspection_job_name,
    inspection_label,
)
from agentic_core.resources import ClusterWorkflowDefinition, EnvVar, RunDefaults, WorkflowSpec
from agentic_core.resources.pod import EmptyDirVolume, Volume
from agentic_operator.config import JobDefaults
from agentic_operator.manifests.jobs import Definition, owner_reference
from agentic_operator.manifests.pods import (
    Manifest,
    add_extra_volumes,
    add_secret_sources,
    add_writable_paths,
    build_env,
    build_job_labels,
    build_pod_metadata,
    build_pod_spec,
    build_resources,
    build_secret_hints,
    escape_variables,
    limit_scratch,
    list_mounted_paths,
)

INSPECTION_SECONDS: Final = 300
INSPECTION_TTL_SECONDS: Final = 3600
# What an inspection sees of a value that it is not given: most clients take it until they are used.
PLACEHOLDER: Final = "placeholder"


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
    """Return the config and context that all sessions of a definition get; empty if it gives none."""
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
            MOUNTED_PATHS=list_mounted_paths(spec),
            **build_secret_hints(spec),
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
