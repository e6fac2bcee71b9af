"""An admission webhook that puts containers into the pods of a namespace, as meshes and log shippers do."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from tests.support.apiclient import Json

_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def a_sidecar(name: str = "mesh-proxy", *, command: Sequence[str] = ("sleep", "3600"), native: bool = False) -> Json:
    """Return a container that never ends by itself."""
    container: Json = {"name": name, "image": "sidecar", "command": list(command), "securityContext": _RESTRICTED}
    if native:
        container["restartPolicy"] = "Always"
    return container


def build_patch(pod: Json, sidecars: Sequence[Json]) -> list[Json]:
    """Return the JSON patch that puts them in: plain ones before the runner's container, as meshes do."""
    spec = pod["spec"]
    native = [each for each in sidecars if "restartPolicy" in each]
    plain = [each for each in sidecars if "restartPolicy" not in each]
    patch: list[Json] = [{"op": "add", "path": "/spec/containers", "value": [*plain, *spec["containers"]]}]
    if native:
        value = [*native, *(spec.get("initContainers") or ())]
        patch.append({"op": "add", "path": "/spec/initContainers", "value": value})
    return patch


@asynccontextmanager
async def inject(plane: ControlPlane, namespace: str, *sidecars: Json) -> AsyncIterator[None]:
    """Put ``sidecars`` into every pod that is made in the namespace, until the end of the block."""

    async def review(request: web.BaseRequest) -> web.StreamResponse:
        asked = (await request.json())["request"]
        patch = json.dumps(build_patch(asked["object"], sidecars)).encode()
        answer = {
            "uid": asked["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(patch).decode(),
        }
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    pair = await asyncio.to_thread(lambda: plane.authority.issue("injector", "injector", names=["127.0.0.1"]))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    server = web.ServerRunner(web.Server(review, access_log=None), shutdown_timeout=0.1)
    await server.setup()
    (port,) = find_free_ports(1)
    await web.TCPSite(server, "127.0.0.1", port, ssl_context=tls).start()
    name = f"injector-{namespace}"
    authority = base64.b64encode(plane.ca_file.read_bytes()).decode()
    hook = {
        "name": "pods.injector.example.com",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": authority},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 10,
    }
    body = {"metadata": {"name": name}, "webhooks": [hook]}
    await asyncio.to_thread(plane.request, "POST", _WEBHOOKS, body)
    try:
        yield
    finally:
        await asyncio.to_thread(plane.request, "DELETE", f"{_WEBHOOKS}/{name}")
        await server.cleanup()
