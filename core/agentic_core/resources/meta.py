"""The part of Kubernetes' object metadata that we read."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from agentic_core.names import API_VERSION, GROUP
from agentic_core.wire import ApiModel


class OwnerReference(ApiModel):
    """Who owns an object; the garbage collector deletes it with its owner."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class ObjectMeta(ApiModel):
    """Names and versions of one object."""

    name: str
    namespace: str | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()


class Resource(ApiModel):
    """A custom resource of ours."""

    group: ClassVar[str] = GROUP
    plural: ClassVar[str]
    kind_name: ClassVar[str]

    api_version: Annotated[str, Field()] = API_VERSION
    kind: str
    metadata: ObjectMeta

    @property
    def namespace(self) -> str:
        """The namespace, ``""`` for an object of the cluster."""
        return self.metadata.namespace or ""

    @property
    def name(self) -> str:
        return self.metadata.name
