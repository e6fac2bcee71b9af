"""Drives one session with the official Kubernetes client: start, follow, answer its questions, read its result.

    python drive_session.py outliers --inputs '{"ask": true}' --answer '{"decision": "approve"}'

Copy the functions into a program of your own: each is one request, or a watch, and needs nothing but ``kubernetes``.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, cast

from kubernetes import client, config, watch

GROUP, VERSION = "agentic-operator.dev", "v1alpha1"
SESSIONS = "agenticsessions"
FINAL_PHASES = ("Completed", "Failed", "Stopped")
WATCH_SECONDS = 60

Json = dict[str, Any]


class SessionDeleted(Exception):
    """The session was deleted while it was followed."""


class SessionNotCompleted(Exception):
    """The session ended without a result; the message holds phase, reason and message of its status."""


def connect() -> client.ApiClient:
    """Return a client for the current context of the kubeconfig, or for the service account inside a pod."""
    try:
        config.load_kube_config()  # type: ignore[no-untyped-call]  # the client's
    except config.ConfigException:
        config.load_incluster_config()  # type: ignore[no-untyped-call]  # the client's
    return client.ApiClient()


def find_user_name(api: client.ApiClient) -> str:
    """Return the name by which the API server knows this program: its answers carry it."""
    review = client.AuthenticationV1Api(api).create_self_subject_review(client.V1SelfSubjectReview())
    if review.status is None or review.status.user_info is None:
        raise ValueError("the API server did not say who this program is: it needs Kubernetes 1.28 or newer")
    return str(review.status.user_info.username)


def create_session(api: client.ApiClient, namespace: str, workflow: str, inputs: Json) -> Json:
    """Create a session of ``workflow`` and return it; its name is made by the API server.

    A wrong input is found by the operator, not here: the session then fails with a reason that names the place.
    """
    body = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "AgenticSession",
        "metadata": {"generateName": f"{workflow}-"},
        "spec": {"workflowRef": {"name": workflow}, "inputs": inputs},
    }
    made = client.CustomObjectsApi(api).create_namespaced_custom_object(
        GROUP, VERSION, namespace, SESSIONS, body, field_validation="Strict"
    )
    return cast("Json", made)


def follow_session(api: client.ApiClient, namespace: str, name: str) -> Iterator[Json]:
    """Yield the session as it is now, and after every change, for as long as the caller asks for more.

    A watch ends after a minute, with a connection that is lost, or when its version is too old (410). Each time the
    session is read again, so no state is missed. Raises ``SessionDeleted`` when the session is gone.
    """
    objects = client.CustomObjectsApi(api)
    while True:
        try:
            found = objects.get_namespaced_custom_object(GROUP, VERSION, namespace, SESSIONS, name)
        except client.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise SessionDeleted(f"session {namespace}/{name} is gone") from error
            raise
        session = cast("Json", found)
        yield session
        try:
            for event in watch.Watch().stream(  # type: ignore[no-untyped-call]  # the client's
                objects.list_namespaced_custom_object,
                GROUP,
                VERSION,
                namespace,
                SESSIONS,
                field_selector=f"metadata.name={name}",
                resource_version=session["metadata"]["resourceVersion"],
                timeout_seconds=WATCH_SECONDS,
            ):
                if event["type"] == "DELETED":
                    raise SessionDeleted(f"session {namespace}/{name} is gone")
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield event["object"]
        except client.ApiException as error:
            if error.status != HTTPStatus.GONE:
                raise


def list_open_questions(session: Json) -> list[Json]:
    """Return the questions that wait for an answer: ``id``, ``prompt``, ``options``, ``schema``, ``value``."""
    status = session.get("status", {})
    if status.get("phase") != "WaitingForInput":
        return []
    return [question for question in status.get("interrupts", ()) if not question.get("answeredAt")]


def answer_question(api: client.ApiClient, session: Json, question: Json, value: Any, author: str) -> None:
    """Apply one answer, as ``author``.

    Server-side apply with a field manager for each answer: two people who answer two questions do not touch each
    other's answers. The version is that of the session which was shown, so the answer is for the question that was
    shown: if anything has changed since, the API server answers 409 and nothing is written.
    """
    metadata = session["metadata"]
    body = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "AgenticSession",
        "metadata": {"name": metadata["name"], "resourceVersion": metadata["resourceVersion"]},
        "spec": {"responses": [{"interruptId": question["id"], "by": author, "value": value}]},
    }
    client.CustomObjectsApi(api).patch_namespaced_custom_object(
        GROUP,
        VERSION,
        metadata["namespace"],
        SESSIONS,
        metadata["name"],
        body,
        field_manager=f"{author}/{question['id']}"[:128],
        _content_type="application/apply-patch+yaml",
    )


def find_refusal(session: Json) -> str:
    """Return why the operator refused the newest answer, or an empty text."""
    conditions = session.get("status", {}).get("conditions", ())
    refused = [each for each in conditions if each["type"] == "InputAccepted" and each["status"] == "False"]
    return f"{refused[0]['reason']}: {refused[0].get('message', '')}" if refused else ""


def read_result(session: Json) -> Any:
    """Return the result of a completed session; raise ``SessionNotCompleted`` for one that ended otherwise.

    A result over 32 KiB is not in the resource: ``status.resultRef`` refers to it, and `agentic result NAME` prints it.
    """
    status = session["status"]
    if status["phase"] != "Completed":
        raise SessionNotCompleted(f"{status['phase']}: {status.get('reason', '')}: {status.get('message', '')}")
    if "resultRef" in status:
        raise SessionNotCompleted(f"the result is larger than 32 KiB: `agentic result {session['metadata']['name']}`")
    return status.get("result")


def drive(
    api: client.ApiClient, namespace: str, workflow: str, inputs: Json, decide: Callable[[Json], Any], seconds: float
) -> Any:
    """Run one session of ``workflow`` to its end and return its result.

    ``decide`` gets each question, and gets it again where the session changed before its answer arrived. Raises
    ``TimeoutError`` after ``seconds`` (the session goes on), and ``ValueError`` for an answer that is refused.
    """
    author = find_user_name(api)
    session = create_session(api, namespace, workflow, inputs)
    name = session["metadata"]["name"]
    deadline = time.monotonic() + seconds
    answered: set[str] = set()
    shown = ""
    for session in follow_session(api, namespace, name):
        status = session.get("status", {})
        line = f"{name}: {status.get('phase', 'Pending')} {status.get('reason', '')}".rstrip()
        if line != shown:
            print(line, file=sys.stderr)
            shown = line
        if status.get("phase") in FINAL_PHASES:
            return read_result(session)
        if time.monotonic() > deadline:
            raise TimeoutError(f"session {namespace}/{name} did not end within {seconds:.0f} s; it goes on")
        if answered and (refusal := find_refusal(session)):
            raise ValueError(f"session {namespace}/{name} did not accept the answer: {refusal}")
        # One answer for each version of the session: the next one is applied to the version that this one makes.
        waiting = [question for question in list_open_questions(session) if question["id"] not in answered]
        if waiting:
            print(f"{name}: {waiting[0].get('prompt', '')}", file=sys.stderr)
            try:
                answer_question(api, session, waiting[0], decide(waiting[0]), author)
            except client.ApiException as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise
                continue  # it changed since it was read: look again
            answered.add(waiting[0]["id"])
    raise AssertionError("follow_session ends only by an exception")


def main() -> int:
    """Read the command line, drive the session, print its result as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workflow")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--inputs", type=json.loads, default={}, help="the inputs, as JSON")
    parser.add_argument("--answer", type=json.loads, default=None, help="the answer to every question, as JSON")
    parser.add_argument("--seconds", type=float, default=3600, help="how long to follow the session")
    options = parser.parse_args()

    def decide(question: Json) -> Any:
        if options.answer is not None:
            return options.answer
        return json.loads(input(f"{question.get('prompt', question['id'])} (JSON): "))

    try:
        with connect() as api:
            result = drive(api, options.namespace, options.workflow, options.inputs, decide, options.seconds)
    except client.ApiException as error:
        print(f"error: the API server answered {error.status}: {error.body or error.reason}", file=sys.stderr)
        return 1
    except (SessionDeleted, SessionNotCompleted, TimeoutError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
