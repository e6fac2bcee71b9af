"""A runner of another kind, in plain Python: it counts words, may ask first, and keeps the runner's contract."""

import collections
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

INSPECTION = {
    "runnerContract": 2,
    "graphs": ["words"],
    "name": "words",
    "nodes": ["count"],
    "edges": [],
    "notes": ["not a LangGraph project"],
}
FINAL = ("Completed", "Failed", "Stopped")
DONE, AGAIN, FAILED, SUPERSEDED = 0, 1, 3, 8


class Superseded(Exception):
    """The session is not this run's any more."""


def call(method: str, path: str, body: Any = None) -> Any:
    """Ask the API server as this pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    backend = os.environ.get("BACKEND_URL") or f"https://{host}:{port}"
    request = urllib.request.Request(backend + path, method=method)
    request.add_header("Authorization", f"Bearer {Path(os.environ['TOKEN_FILE']).read_text().strip()}")
    request.add_header("Content-Type", "application/merge-patch+json")
    data = None if body is None else json.dumps(body).encode()
    context = ssl.create_default_context(cafile=os.environ["API_CA_FILE"])
    with urllib.request.urlopen(request, data, context=context, timeout=30) as answer:
        return json.load(answer)


def read() -> Any:
    """Return the session while it is this run's; raise ``Superseded`` where it is not."""
    session = call("GET", path())
    status = session["status"]
    is_other = session["metadata"]["uid"] != os.environ["SESSION_UID"]
    if is_other or status["run"] > int(os.environ["RUN"]) or status["phase"] in FINAL:
        raise Superseded
    return session


def report(**status: Any) -> None:
    """Write the status under the version that was read: who writes it in between decides whether this run still may."""
    while True:
        version = read()["metadata"]["resourceVersion"]
        try:
            call("PATCH", f"{path()}/status", {"metadata": {"resourceVersion": version}, "status": status})
        except urllib.error.HTTPError as error:
            # Somebody else wrote it, or the pod is too young to be known.
            with error:
                if error.code not in (403, 409):
                    raise
            time.sleep(0.2)
        else:
            return


def path() -> str:
    group = "/apis/agentic-operator.dev/v1alpha1"
    return f"{group}/namespaces/{os.environ['NAMESPACE']}/agenticsessions/{os.environ['SESSION_NAME']}"


def run() -> int:
    """Count the words of the session's text; ask before that where it says so."""
    session = read()
    inputs, status = session["spec"]["inputs"], session["status"]
    questions = status.get("interrupts", [])
    report(phase="Running", reason="Running", startTime=status.get("startTime", now()), currentNode="count")
    answers = {each["interruptId"]: each["value"] for each in status.get("answers", [])}
    if "ask" in inputs and not questions:
        asked = {"id": "count", "node": "count", "prompt": inputs["ask"], "schema": {"enum": ["yes", "no"]}}
        report(phase="WaitingForInput", reason="WaitingForInput", interrupts=[{**asked, "askedAt": now()}])
        return DONE
    if questions:
        report(interrupts=[{**each, "resumedAt": now()} for each in questions])
    while "hold" in inputs and not Path(os.environ["WORKSPACE_DIR"], "go").exists():
        time.sleep(0.05)
    try:
        words = dict(collections.Counter(inputs["text"].split()) if answers.get("count") != "no" else {})
    except AttributeError as error:
        if int(os.environ.get("RETRIES") or 0) > 0:
            return AGAIN
        told = {"type": type(error).__name__, "message": str(error), "node": "count"}
        report(phase="Failed", reason="GraphError", message=str(error), error=told, completionTime=now())
        return FAILED
    report(phase="Completed", reason="Completed", completionTime=now(), result=words)
    return DONE


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> int:
    """Say what it is, or run its session."""
    if sys.argv[1:] == ["inspect"]:
        print("-----BEGIN AGENTIC INSPECTION-----")
        print(json.dumps(INSPECTION))
        print("-----END AGENTIC INSPECTION-----")
        return DONE
    try:
        return run()
    except Superseded:
        return SUPERSEDED


if __name__ == "__main__":
    sys.exit(main())
