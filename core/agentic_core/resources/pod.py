"""What a definition or session may say of its pod: a closed list, never a free pod spec."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from agentic_core.contract import RESERVED_ENV, RESERVED_ENV_PREFIXES
from agentic_core.mount_paths import RELATIVE, SEGMENT, VOLUME_PATH
from agentic_core.wire import ApiModel, JsonObject, Quantity, ShortText

RESERVED_ENV_MESSAGE = "this variable is the operator's or the image's to set; choose another name"


def reserved_env_rule(name: str) -> str:
    """Return the rule that the expression ``name`` is the name of a variable that a resource may set."""
    prefixes = "".join(f" && !{name}.startsWith({prefix!r})" for prefix in RESERVED_ENV_PREFIXES)
    return f"!({name} in [{', '.join(map(repr, RESERVED_ENV))}]){prefixes}"


RESERVED_ENV_RULE: dict[str, Any] = {
    "rule": reserved_env_rule("self.name"),
    "message": RESERVED_ENV_MESSAGE,
    "fieldPath": ".name",
}
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
ONE_VOLUME_SOURCE_RULE: dict[str, Any] = {
    "rule": "[has(self.configMap), has(self.secret), has(self.persistentVolumeClaim), has(self.emptyDir)]"
    ".filter(x, x).size() == 1",
    "message": "name exactly one source: configMap, secret, persistentVolumeClaim or emptyDir",
}


class KeyRef(ApiModel):
    """A key of a ConfigMap or Secret in the session's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the object.")]
    key: Annotated[str, Field(min_length=1, max_length=253, description="Key in the object.")]
    optional: Annotated[bool | None, Field(description="Whether the object or key may be missing.")] = None


class EnvVarSource(ApiModel):
    """Where a variable's value comes from."""

    secret_key_ref: Annotated[KeyRef | None, Field(description="A key of a Secret.")] = None
    config_map_key_ref: Annotated[KeyRef | None, Field(description="A key of a ConfigMap.")] = None


class EnvVar(ApiModel):
    """An environment variable of the runner's container."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [RESERVED_ENV_RULE]})

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=ENV_NAME,
            description="Name of the variable. Those of the runner's contract are reserved.",
        ),
    ]
    value: Annotated[str | None, Field(max_length=32768, description="The value, as it is.")] = None
    value_from: Annotated[EnvVarSource | None, Field(description="A source for the value instead.")] = None


class PlainVar(ApiModel):
    """A variable with a value that is no secret."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [RESERVED_ENV_RULE]})

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=ENV_NAME, description="Name of the variable.")]
    value: Annotated[str, Field(max_length=32768, description="The value, as it is.")] = ""


class ObjectName(ApiModel):
    """The name of an object in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the object.")]
    optional: Annotated[bool | None, Field(description="Whether the object may be missing.")] = None


class EnvFromSource(ApiModel):
    """All keys of a ConfigMap or Secret as variables."""

    prefix: Annotated[
        str | None,
        Field(max_length=64, pattern=ENV_NAME, description="Text before each key's name."),
    ] = None
    config_map_ref: Annotated[ObjectName | None, Field(description="The ConfigMap.")] = None
    secret_ref: Annotated[ObjectName | None, Field(description="The Secret.")] = None


class LocalObjectReference(ApiModel):
    """The name of a Secret in the session's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the Secret.")]


class ResourceRequirements(ApiModel):
    """Requests and limits, as a container has them."""

    requests: Annotated[
        dict[str, Quantity] | None, Field(max_length=16, description="What the scheduler reserves.")
    ] = None
    limits: Annotated[
        dict[str, Quantity] | None, Field(max_length=16, description="What the container may use at most.")
    ] = None


class Toleration(ApiModel):
    """A taint that the pod may live with."""

    key: Annotated[ShortText | None, Field(description="The taint's key.")] = None
    operator: Annotated[Literal["Exists", "Equal"] | None, Field(description="How key and value are compared.")] = None
    value: Annotated[ShortText | None, Field(description="The taint's value.")] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None, Field(description="The taint's effect.")
    ] = None
    toleration_seconds: Annotated[int | None, Field(description="For how long a NoExecute taint is tolerated.")] = None


class ConfigMapVolume(ApiModel):
    """Files from a ConfigMap."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the ConfigMap.")]


class SecretVolume(ApiModel):
    """Files from a Secret."""

    secret_name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the Secret.")]


class ClaimVolume(ApiModel):
    """A PersistentVolumeClaim of the session's namespace."""

    claim_name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the claim.")]
    read_only: Annotated[bool | None, Field(description="Whether it is mounted read-only.")] = None


class EmptyDirVolume(ApiModel):
    """Scratch space that ends with the pod."""

    medium: Annotated[Literal["", "Memory"] | None, Field(description="Memory for a tmpfs.")] = None
    size_limit: Annotated[Quantity | None, Field(description="How much it may hold.")] = None


class Volume(ApiModel):
    """An extra volume and where it is mounted. Host paths do not exist here."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [ONE_VOLUME_SOURCE_RULE]})

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=40,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="Name of the volume, unique in the list.",
        ),
    ]
    mount_path: Annotated[
        str,
        Field(
            min_length=2,
            max_length=512,
            description="Where it is mounted: below /mnt, /data, /cache or /etc/agentic.",
            # Not the model's own: what was stored under an older rule has to be read to be refused with its place.
            json_schema_extra={"pattern": f"^{VOLUME_PATH}$"},
        ),
    ]
    config_map: Annotated[ConfigMapVolume | None, Field(description="Files from a ConfigMap.")] = None
    secret: Annotated[SecretVolume | None, Field(description="Files from a Secret.")] = None
    persistent_volume_claim: Annotated[ClaimVolume | None, Field(description="An existing claim.")] = None
    empty_dir: Annotated[EmptyDirVolume | None, Field(description="Scratch space.")] = None


class WritablePath(ApiModel):
    """A folder below the working directory that the project may write to. It is empty when a pod starts."""

    path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern=f"^{RELATIVE}$",
            description="Path below the working directory, such as data or .cache/models. What the image has there is"
            " hidden.",
        ),
    ]
    size_limit: Annotated[Quantity | None, Field(description="How much it may hold; 1Gi where absent.")] = None


class PodTemplate(ApiModel):
    """Where and how the session's pods run."""

    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]] | None,
        Field(max_length=32, description="Labels for the pods beside the operator's own."),
    ] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None,
        Field(max_length=32, description="Annotations for the pods."),
    ] = None
    node_selector: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]] | None,
        Field(max_length=32, description="Labels that a node must have."),
    ] = None
    tolerations: Annotated[
        tuple[Toleration, ...], Field(max_length=32, description="Taints that the pods may live with.")
    ] = ()
    affinity: Annotated[
        JsonObject | None, Field(description="Affinity, exactly as in a pod spec; the API server checks it.")
    ] = None
    runtime_class_name: Annotated[
        str | None, Field(max_length=253, description="RuntimeClass of the pods, a sandboxed one for instance.")
    ] = None
    priority_class_name: Annotated[str | None, Field(max_length=253, description="PriorityClass of the pods.")] = None
    service_account_name: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            description="Service account of the pods (cloud identities), whose annotation agentic-operator.dev/runs"
            " names this workflow; the one that runners share where absent.",
        ),
    ] = None
    service_account_annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None,
        Field(
            max_length=32,
            description="Of earlier versions: annotations for the service account that runners share. Name"
            " serviceAccountName instead.",
        ),
    ] = None
    volumes: Annotated[
        tuple[Volume, ...],
        Field(
            max_length=16,
            description="Extra volumes and their mounts.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    working_dir: Annotated[
        str | None,
        Field(
            min_length=2,
            max_length=256,
            pattern=f"^(/{SEGMENT})+$",
            description="Working directory of the runner's container; the image's own where absent.",
        ),
    ] = None
    writable_paths: Annotated[
        tuple[WritablePath, ...],
        Field(
            max_length=16,
            description="Folders below the working directory that the project may write to, each an emptyDir.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"]},
        ),
    ] = ()


class Workspace(ApiModel):
    """A directory that outlives the session's pods and ends with the session."""

    size: Annotated[Quantity, Field(description="How much it can hold, for instance 1Gi.")]
    storage_class_name: Annotated[
        str | None, Field(max_length=253, description="StorageClass; the cluster's default where there is none.")
    ] = None
    access_modes: Annotated[
        tuple[Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"], ...],
        Field(max_length=3, description="Access modes; ReadWriteOnce where none is given."),
    ] = ("ReadWriteOnce",)


MANY: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
