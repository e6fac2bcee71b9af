"""What OpenShift's ``restricted-v2`` does to pods, as a webhook: it refuses users of others, and gives one.

A namespace's range of users and group are in annotations there; here every namespace has the same. The words of a
refusal are OpenShift's own.
"""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hack.cluster.certificates import Authority
from hack.kubectl import Kubectl

Json = dict[str, Any]
FIRST, LAST = 1_000_720_000, 1_000_729_999
LABEL = "security-constraints.example.com/apply"
"""On namespaces: ``with-group``, or ``without-group`` for clusters that assign only a user."""


def review_pod(pod: Json, *, assigns_group: bool) -> tuple[list[str], list[Json]]:
    """Return what is refused of a pod, and otherwise the JSON patch that gives it its user and group."""
    spec = pod["spec"]
    context = spec.get("securityContext") or {}
    refused = []
    group = context.get("fsGroup")
    if group is not None and group != FIRST:
        refused.append(
            f".spec.securityContext.fsGroup: Invalid value: []int64{{{group}}}: {group} is not an allowed group"
        )
    patch: list[Json] = []
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            own = container.get("securityContext") or {}
            user = own.get("runAsUser", context.get("runAsUser"))
            if user is not None and not FIRST <= user <= LAST:
                place = f".{kind}[{index}].runAsUser"
                refused.append(f"{place}: Invalid value: {user}: must be in the ranges: [{FIRST}, {LAST}]")
            if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("allowPrivilegeEscalation") is not False:
                refused.append(f".{kind}[{index}]: capabilities or privileges are not restricted")
            value = {**own, "runAsUser": FIRST if user is None else user, "runAsNonRoot": True}
            patch.append({"op": "add", "path": f"/spec/{kind}/{index}/securityContext", "value": value})
    if assigns_group:
        patch.append({"op": "add", "path": "/spec/securityContext", "value": {**context, "fsGroup": FIRST}})
    return refused, patch


def answer(asked: Json, *, assigns_group: bool) -> Json:
    """Return the answer to an admission review."""
    refused, patch = review_pod(asked["object"], assigns_group=assigns_group)
    response: Json = {"uid": asked["uid"], "allowed": not refused}
    if refused:
        words = ", ".join(f'provider "restricted-v2": {each}' for each in refused)
        response["status"] = {
            "code": 403,
            "message": f"unable to validate against any security context constraint: [{words}]",
        }
    else:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        body = json.dumps(answer(asked, assigns_group=urlsplit(self.path).path == "/with-group")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the API server says what matters."""


@contextmanager
def constrain(kubectl: Kubectl, address: str, folder: Path, *, part_of: str) -> Iterator[None]:
    """Constrain the pods of labelled namespaces, until the end of the block.

    Of the namespace that is labelled ``parts``, only pods that are part of the application ``part_of``.
    """
    authority = Authority(folder)
    authority.create()
    pair = authority.issue("constraints", "constraints", names=[address])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer((address, 0), _Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    name = f"constraints-{server.server_port}"
    bundle = base64.b64encode(authority.pair.certificate.read_bytes()).decode()

    def hook(value: str, path: str, objects: Json) -> Json:
        return {
            "name": f"{value}.constraints.example.com",
            "clientConfig": {"url": f"https://{address}:{server.server_port}/{path}", "caBundle": bundle},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {LABEL: value}},
            "objectSelector": objects,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 10,
        }

    parts = {"matchLabels": {"app.kubernetes.io/part-of": part_of}}
    hooks = [hook("with-group", "with-group", {}), hook("without-group", "without-group", {})]
    kubectl.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [*hooks, hook("parts", "with-group", parts)],
        }
    )
    try:
        yield
    finally:
        kubectl.run("delete", "mutatingwebhookconfiguration", name)
        server.shutdown()
        server.server_close()
        thread.join()
