"""Waiting until the API server goes by what was just written.

It learns of bindings, roles and policies by watches of its own: for a moment after one was made, and for longer on a
busy machine, it answers as if there were none.
"""

from typing import Any

from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from tests.support.waiting import wait_for

Json = dict[str, Any]
Rule = tuple[tuple[str, ...], ...]

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def name_account(namespace: str, name: str) -> str:
    """Return the name by which the API server knows a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def wait_for_rights(plane: ControlPlane, namespace: str, user: str) -> None:
    """Wait until a user may do in a namespace what bindings that name them say, also such of the whole cluster."""
    wanted = {_freeze(rule) for rule in _list_bound(plane, namespace, user) if rule.get("resources")}
    review = {"spec": {"namespace": namespace}}

    def find_missing() -> set[Rule]:
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        known = plane.request("POST", path, review, as_user=user)["status"]["resourceRules"]
        return wanted - {_freeze(rule) for rule in known}

    wait_for(find_missing, lambda missing: not missing, what=f"the rights of {user} in {namespace}", every=0.02)


def _list_bound(plane: ControlPlane, namespace: str, user: str) -> list[Json]:
    """Return the rules of the roles that a user is bound to by name."""
    found: list[Json] = []
    for place in (f"{_RBAC}/namespaces/{namespace}/rolebindings", f"{_RBAC}/clusterrolebindings"):
        for binding in plane.request("GET", place)["items"]:
            if user in map(_name_subject, binding.get("subjects") or ()):
                found += _find_rules(plane, namespace, binding["roleRef"])
    return found


def _find_rules(plane: ControlPlane, namespace: str, role: Json) -> list[Json]:
    place = f"{_RBAC}/clusterroles" if role["kind"] == "ClusterRole" else f"{_RBAC}/namespaces/{namespace}/roles"
    try:
        return plane.request("GET", f"{place}/{role['name']}").get("rules") or []
    except ClusterError as error:
        if ": 404 " not in str(error):
            raise
        return []


def _name_subject(subject: Json) -> str:
    if subject["kind"] == "ServiceAccount":
        return name_account(subject["namespace"], subject["name"])
    return str(subject["name"]) if subject["kind"] == "User" else ""


def _freeze(rule: Json) -> Rule:
    return tuple(tuple(sorted(rule.get(key) or ())) for key in ("verbs", "apiGroups", "resources", "resourceNames"))


def wait_for_policies(plane: ControlPlane) -> None:
    """Wait until the API server holds requests against all policies that were applied.

    It learns of policies by a watch and compiles them once a second, all that it knows: where it holds a request
    against one that was made after them, it does so for all.
    """
    base = "/apis/admissionregistration.k8s.io/v1"
    name = "nothing-of-this-name.example.com"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    policy = {
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": f"object.metadata.name != '{name}'", "message": "the policies are there"}],
        },
    }
    binding = {"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}}
    made = {"validatingadmissionpolicies": policy, "validatingadmissionpolicybindings": binding}
    for kind, body in made.items():
        plane.request("POST", f"{base}/{kind}", body)

    def is_refused() -> bool:
        try:
            plane.request("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", {"metadata": {"name": name}})
        except ClusterError as error:
            return "the policies are there" in str(error)
        return False

    wait_for(is_refused, bool, what="the policies", every=0.1)
    for kind in made:
        plane.request("DELETE", f"{base}/{kind}/{name}")
