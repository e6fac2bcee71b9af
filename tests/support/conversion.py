"""A later version of our resources, as a test makes it: a field under another name, and the webhook that converts.

The conversion is a pure function; the server around it is what an API server calls over HTTPS.
"""

import base64
import copy
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from agentic_core.names import GROUP
from hack.cluster.certificates import KeyPair
from hack.cluster.endpoints import LOOPBACK

Json = dict[str, Any]

LATER: Final = "v1beta1"
# The field of a kind's spec, as the first version calls it and as the later one does.
RENAMED: Final[Mapping[str, tuple[str, str]]] = {
    "AgenticSession": ("inputs", "input"),
    "WorkflowDefinition": ("maxActiveSessions", "activeLimit"),
    "ClusterWorkflowDefinition": ("maxActiveSessions", "activeLimit"),
}


def convert(body: Json, version: str) -> Json:
    """Return an object as ``version`` writes it; metadata and status are the same in both."""
    first, later = RENAMED[body["kind"]]
    old, new = (first, later) if version == LATER else (later, first)
    spec = {new if key == old else key: value for key, value in body["spec"].items()}
    return {**body, "apiVersion": f"{GROUP}/{version}", "spec": spec}


def convert_all(review: Json) -> Json:
    """Return the answer to a ConversionReview."""
    asked = review["request"]
    version = asked["desiredAPIVersion"].rpartition("/")[2]
    answer = {
        "uid": asked["uid"],
        "convertedObjects": [convert(each, version) for each in asked["objects"]],
        "result": {"status": "Success"},
    }
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}


def rename_field(version: Json, kind: str) -> Json:
    """Return the later version of a CustomResourceDefinition's only one, not stored."""
    later = copy.deepcopy(version)
    old, new = RENAMED[kind]
    fields = later["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields[new] = fields.pop(old)
    # Equal lists of two versions with different schemas are refused: "may only be set when validations.schema is
    # included". In another order they are not equal.
    if "selectableFields" in later:
        later["selectableFields"].reverse()
    return {**later, "name": LATER, "storage": False}


class ConversionWebhook(ThreadingHTTPServer):
    """Answers ConversionReviews, and remembers which objects it was asked to write in which version."""

    daemon_threads = True

    def __init__(self, pair: KeyPair, ca_file: Path) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.is_away = False
        self.converted: list[tuple[str, str]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        # Handshakes are the handlers' own, so that one connection does not hold up the others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.conversion: Json = {
            "strategy": "Webhook",
            "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": {
                    "url": f"https://{LOOPBACK}:{self.server_address[1]}/",
                    "caBundle": base64.b64encode(ca_file.read_bytes()).decode(),
                },
            },
        }

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that the API server ended."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ConversionWebhook

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.is_away:
            self.send_error(503)
            return
        answer = convert_all(review)
        version = review["request"]["desiredAPIVersion"].rpartition("/")[2]
        self.server.converted += [(each["metadata"]["name"], version) for each in review["request"]["objects"]]
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep quiet: what was asked is remembered."""


@contextmanager
def serve_conversion(pair: KeyPair, ca_file: Path) -> Iterator[ConversionWebhook]:
    """Serve conversions while the block runs."""
    with ConversionWebhook(pair, ca_file) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
