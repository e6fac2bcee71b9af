"""A runner of another kind, in plain Python: it counts words, and keeps the runner's contract on its own."""

import collections
import json
import os
import ssl
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

INSPECTION = {
    "graphs": ["words"],
    "name": "words",
    "nodes": ["count"],
    "edges": [],
    "notes": ["not a LangGraph project"],
}


def call(method: str, path: str, body: Any = None) -> Any:
    """Ask the API server as this pod."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    backend = os.environ.get("BACKEND_URL") or f"https://{host}:{port}"
    request = urllib.request.Request(backend + path, method=method)
    request.add_header("Authorization", f"Bearer {Path(os.environ['TOKEN_FILE']).read_text().strip()}")
    request.add_header("Content-Type", "application/merge-patch+json")
    data = None if body is None else json.dumps(body).encode()
    context = ssl.create_default_context(cafile=os.environ["API_CA_FILE"])
    with urllib.request.urlopen(request, data, context=context, timeout=30) as answer:
        return json.load(answer)


def main() -> int:
    """Say what it is, or run its session."""
    if sys.argv[1:] == ["inspect"]:
        print("-----BEGIN AGENTIC INSPECTION-----")
        print(json.dumps(INSPECTION))
        print("-----END AGENTIC INSPECTION-----")
        return 0
    group = "/apis/agentic-operator.dev/v1alpha1"
    path = f"{group}/namespaces/{os.environ['NAMESPACE']}/agenticsessions/{os.environ['SESSION_NAME']}"
    session = call("GET", path)
    if session["metadata"]["uid"] != os.environ["SESSION_UID"] or session["status"]["run"] > int(os.environ["RUN"]):
        return 8
    session = report(path, session, phase="Running", reason="Running", startTime=now(), currentNode="count")
    words = collections.Counter(session["spec"]["inputs"]["text"].split())
    report(path, session, phase="Completed", reason="Completed", completionTime=now(), result=dict(words))
    return 0


def report(path: str, session: Any, **status: Any) -> Any:
    """Write the status, unless somebody changed the session since it was read."""
    version = session["metadata"]["resourceVersion"]
    return call("PATCH", f"{path}/status", {"metadata": {"resourceVersion": version}, "status": status})


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(main())
