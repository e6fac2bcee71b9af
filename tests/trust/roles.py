"""Clients of the test API server that have the rights of one role and no others: a person, a pod, the operator."""

import itertools
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hack.cluster.certificates import KeyPair
from hack.cluster.controlplane import ControlPlane
from tests.support.settled import name_account, wait_for_rights
from tests.support.waiting import PATIENCE_SECONDS

Json = dict[str, Any]

SYSTEM = "agentic-system"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What the API server answered: its code, and the object or the ``Status`` that says why not."""

    code: int
    body: Json

    @property
    def is_done(self) -> bool:
        return 200 <= self.code < 300

    @property
    def message(self) -> str:
        """Why not; the object where it was done."""
        return str(self.body.get("message") or self.body)


@dataclass(frozen=True)
class Client:
    """Somebody whom the API server knows by a token or a certificate."""

    plane: ControlPlane
    name: str
    token: str = ""
    certificate: KeyPair | None = None

    def request(self, method: str, path: str, body: object = None, *, kind: str = "") -> Answer:
        """Send one request; a refusal is an answer, too. ``kind`` is the content type where it is not the usual one."""
        trust = ssl.create_default_context(cafile=str(self.plane.ca_file))
        headers = {"Content-Type": kind or (MERGE_PATCH if method == "PATCH" else "application/json")}
        if self.certificate is not None:
            trust.load_cert_chain(self.certificate.certificate, self.certificate.key)
        else:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.plane.server + path, data=data, method=method, headers=headers)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        try:
            with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
                return Answer(int(answer.status), json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            try:
                return Answer(error.code, json.loads(text))
            except ValueError:
                return Answer(error.code, {"message": text})


def a_user(plane: ControlPlane, namespace: str, *roles: str, name: str = "", groups: Sequence[str] = ()) -> Client:
    """Return a person with these ClusterRoles (``agentic-edit``, ``agentic-view``, …) in one namespace alone.

    No controller aggregates roles on the test API server: ``agentic-edit`` is bound as itself, not by way of ``edit``.
    """
    name = name or f"user-{next(_numbers)}"
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
    for role in roles:
        body = {
            "metadata": {"generateName": "user-"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        }
        plane.request("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings", body)
    wait_for_rights(plane, namespace, name)
    file = "".join(each if each.isalnum() else "-" for each in name)
    return Client(plane, name, certificate=plane.authority.issue(f"role-{file}", name, organizations=groups))


def a_pod_of(plane: ControlPlane, namespace: str, pod: str, *, account: str = "agentic-runner") -> Client:
    """Return the code in a pod that exists: a token of its service account that is bound to the pod."""
    uid = plane.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}")["metadata"]["uid"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
    token = plane.service_account_token(namespace, account, bound_to=bound)
    wait_for_rights(plane, namespace, name_account(namespace, account))
    return Client(plane, f"pod {pod}", token=token)


def an_account(plane: ControlPlane, namespace: str, name: str) -> Client:
    """Return a service account without a pod, such as the operator's own (``SYSTEM``, ``agentic-operator``)."""
    wait_for_rights(plane, namespace, name_account(namespace, name))
    return Client(plane, f"account {name}", token=plane.service_account_token(namespace, name))
