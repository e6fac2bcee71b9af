"""The resources that the command reads and writes, and how people may name an object of theirs."""

from dataclasses import dataclass
from typing import Final

from agentic_core.errors import PermanentError
from agentic_core.names import GROUP, SHORT_NAMES, VERSION, is_dns_label


@dataclass(frozen=True)
class Kind:
    """One resource of the API server; ``word`` is the noun for an object in messages."""

    root: str
    plural: str
    singular: str
    kind: str
    word: str
    group: str = ""
    is_namespaced: bool = True

    @property
    def full_name(self) -> str:
        """The name as in ``kubectl get``: the plural with its group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def show(self, name: str) -> str:
        """Return ``agenticsession.agentic-operator.dev/name``, as ``-o name`` prints it."""
        return f"{self.singular}.{self.group}/{name}" if self.group else f"{self.singular}/{name}"


_ROOT: Final = f"/apis/{GROUP}/{VERSION}"

SESSIONS: Final = Kind(_ROOT, "agenticsessions", "agenticsession", "AgenticSession", "session", GROUP)
WORKFLOWS: Final = Kind(_ROOT, "workflowdefinitions", "workflowdefinition", "WorkflowDefinition", "workflow", GROUP)
CLUSTER_WORKFLOWS: Final = Kind(
    _ROOT,
    "clusterworkflowdefinitions",
    "clusterworkflowdefinition",
    "ClusterWorkflowDefinition",
    "cluster workflow",
    GROUP,
    is_namespaced=False,
)
PODS: Final = Kind("/api/v1", "pods", "pod", "Pod", "pod")
DEPLOYMENTS: Final = Kind("/apis/apps/v1", "deployments", "deployment", "Deployment", "deployment", "apps")
JOBS: Final = Kind("/apis/batch/v1", "jobs", "job", "Job", "job", "batch")
SECRETS: Final = Kind("/api/v1", "secrets", "secret", "Secret", "secret")
CONFIG_MAPS: Final = Kind("/api/v1", "configmaps", "configmap", "ConfigMap", "configmap")
LEASES: Final = Kind("/apis/coordination.k8s.io/v1", "leases", "lease", "Lease", "lease", "coordination.k8s.io")
CUSTOM_RESOURCES: Final = Kind(
    "/apis/apiextensions.k8s.io/v1",
    "customresourcedefinitions",
    "customresourcedefinition",
    "CustomResourceDefinition",
    "custom resource definition",
    "apiextensions.k8s.io",
    is_namespaced=False,
)
_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
POLICIES: Final = Kind(
    _ADMISSION,
    "validatingadmissionpolicies",
    "validatingadmissionpolicy",
    "ValidatingAdmissionPolicy",
    "admission policy",
    "admissionregistration.k8s.io",
    is_namespaced=False,
)
POLICY_BINDINGS: Final = Kind(
    _ADMISSION,
    "validatingadmissionpolicybindings",
    "validatingadmissionpolicybinding",
    "ValidatingAdmissionPolicyBinding",
    "binding of an admission policy",
    "admissionregistration.k8s.io",
    is_namespaced=False,
)
ACCESS_REVIEWS: Final = Kind(
    "/apis/authorization.k8s.io/v1",
    "subjectaccessreviews",
    "subjectaccessreview",
    "SubjectAccessReview",
    "review of a right",
    "authorization.k8s.io",
    is_namespaced=False,
)
SERVER_VERSION: Final = Kind("", "version", "version", "Version", "version", is_namespaced=False)
NAMESPACES: Final = Kind("/api/v1", "namespaces", "namespace", "Namespace", "namespace", is_namespaced=False)
IDENTITY: Final = Kind(
    "/apis/authentication.k8s.io/v1",
    "selfsubjectreviews",
    "selfsubjectreview",
    "SelfSubjectReview",
    "identity",
    "authentication.k8s.io",
    is_namespaced=False,
)


def read_name(kind: Kind, text: str) -> str:
    """Return the object's name, also from ``agenticsession/NAME`` and what ``-o name`` prints.

    Raises ``PermanentError`` for what no object can be called, so that it never becomes part of an address.
    """
    prefix, slash, name = text.rpartition("/")
    spellings = {kind.plural, kind.singular, kind.full_name, f"{kind.singular}.{kind.group}"}
    spellings.add(SHORT_NAMES.get(kind.kind, kind.singular))
    if slash and prefix not in spellings:
        raise PermanentError(f"{text!r} does not name a {kind.word}: give its name, or {kind.singular}/NAME")
    if not is_dns_label(name):
        raise PermanentError(f"{name!r} is no name of a {kind.word}: names are lower-case letters, digits and '-'")
    return name
