"""The commands of builders and of local clusters, and whether a definition takes sessions, by tables."""

from pathlib import PurePath
from typing import Any

import pytest

from agentic_cli.model.image_builders import (
    BuilderName,
    build_command,
    explain_no_builder,
    load_command,
    parse_image,
    save_command,
)
from agentic_cli.model.readiness import compute_readiness
from agentic_cli.model.servers import parse_server
from agentic_core.errors import PermanentError


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("bot", "docker.io/library/bot"),
        ("bot:1", "docker.io/library/bot:1"),
        ("team/bot:1", "docker.io/team/bot:1"),
        ("localhost/bot", "localhost/bot"),
        ("localhost:5000/bot", "localhost:5000/bot"),
        ("registry.example.com:5000/team/bot:V1", "registry.example.com:5000/team/bot:V1"),
    ],
)
def test_an_image_has_the_same_full_name_for_all_builders(text: str, full: str) -> None:
    assert str(parse_image(text)) == full


@pytest.mark.parametrize("text", ["", "a b", "https://x/y", "bot@sha256:1", "Team/bot"])
def test_what_no_image_can_be_called_is_refused(text: str) -> None:
    with pytest.raises(PermanentError, match="no name of an image"):
        parse_image(text)


@pytest.mark.parametrize(
    ("builder", "start"), [("docker", "docker build"), ("podman", "podman build"), ("buildah", "buildah bud")]
)
def test_each_builder_gets_the_same_files_secrets_and_options(builder: BuilderName, start: str) -> None:
    command = build_command(
        builder,
        "docker.io/library/bot:dev",
        containerfile=PurePath("/b/Containerfile"),
        ignore_file=PurePath("/b/.containerignore"),
        context=PurePath("/src"),
        id_file=PurePath("/b/id"),
        secrets=["id=pip-config,src=/src/pip.conf"],
        options=["--network=host"],
    )
    text = " ".join(command)
    assert text.startswith(start)
    assert text.endswith("--tag docker.io/library/bot:dev --secret id=pip-config,src=/src/pip.conf --network=host /src")
    assert ("--ignorefile" in text) == (builder != "docker")


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_an_image_is_saved_under_its_name(builder: BuilderName) -> None:
    command = " ".join(save_command(builder, "docker.io/library/bot:dev", PurePath("/t/image.tar")))
    assert "/t/image.tar" in command
    assert "docker.io/library/bot:dev" in command


@pytest.mark.parametrize(
    ("context", "socket", "program"),
    [
        ("kind-one", None, ["kind", "load", "image-archive", "a.tar", "--name", "one"]),
        ("k3d-two", None, ["k3d", "image", "import", "a.tar", "--cluster", "two"]),
        ("minikube", None, ["minikube", "image", "load", "a.tar"]),
        (
            "any",
            PurePath("/s/c.sock"),
            ["ctr", "--address", "/s/c.sock", "--namespace", "k8s.io", "images", "import", "a.tar"],
        ),
        ("production", None, None),
    ],
)
def test_the_context_says_how_an_image_gets_into_the_cluster(
    context: str, socket: PurePath | None, program: list[str] | None
) -> None:
    assert load_command(context, PurePath("a.tar"), socket) == program


def test_without_a_builder_it_is_said_which_one_does_not_answer() -> None:
    assert "docker is installed and does not answer: start it" in explain_no_builder(None, ["docker"])
    assert "none of podman answers" in explain_no_builder("podman", [])


@pytest.mark.parametrize(
    ("labels", "image", "version"),
    [
        ({"app.kubernetes.io/version": "0.2.0"}, "registry.example.com/operator:x", "0.2.0"),
        ({}, "registry.example.com:5000/operator:0.1.0", "0.1.0"),
        ({}, "registry.example.com:5000/operator", "unknown"),
        ({}, "registry.example.com/operator@sha256:12", "sha256:12"),
        ({}, "operator", "unknown"),
    ],
)
def test_an_operator_has_the_version_of_its_release_or_its_image(
    labels: dict[str, str], image: str, version: str
) -> None:
    server = parse_server(
        {
            "metadata": {"namespace": "agentic-system", "labels": labels},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": image}]}}},
            "status": {"readyReplicas": 1},
        }
    )
    assert (server.version, server.ready, server.wanted) == (version, 1, 2)


def condition(type_: str, status: str, reason: str, message: str = "", generation: int = 2) -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": generation}


@pytest.mark.parametrize(
    ("conditions", "state", "why"),
    [
        ([], "waiting", ""),
        ([condition("Ready", "True", "Ready", generation=1)], "waiting", ""),
        ([condition("Ready", "True", "Ready")], "ready", ""),
        (
            [condition("Ready", "True", "Ready"), condition("ProjectSupported", "False", "SettingsIgnored", "auth")],
            "ready",
            "SettingsIgnored: auth",
        ),
        (
            [
                condition("Inspected", "Unknown", "Inspecting", "being inspected"),
                condition("Ready", "Unknown", "Inspecting"),
            ],
            "waiting",
            "Inspecting: being inspected",
        ),
        (
            [
                condition("Inspected", "False", "ImagePullFailed", "no such image"),
                condition("Ready", "False", "NotReady"),
            ],
            "waiting",
            "ImagePullFailed: no such image",
        ),
        (
            [condition("Inspected", "False", "GraphLoadFailed", "no module"), condition("Ready", "False", "NotReady")],
            "refused",
            "GraphLoadFailed: no module",
        ),
        ([condition("ImageAllowed", "False", "ImageNotAllowed", "x")], "refused", "ImageNotAllowed: x"),
    ],
)
def test_a_definition_is_waited_for_until_waiting_does_not_help(
    conditions: list[dict[str, Any]], state: str, why: str
) -> None:
    found = compute_readiness({"metadata": {"generation": 2}, "status": {"conditions": conditions}})
    assert (found.state, found.why) == (state, why)
