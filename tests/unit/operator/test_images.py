"""Image references: parsed as runtimes do, so that nothing passes the allow-list by looking like something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_operator.images import AllowedImages, ImageReference, InvalidImage, parse_image

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python", ImageReference("docker.io", "library/python")),
        ("python:3.11", ImageReference("docker.io", "library/python", "3.11")),
        ("team/app:1", ImageReference("docker.io", "team/app", "1")),
        ("docker.io/python", ImageReference("docker.io", "library/python")),
        ("index.docker.io/team/app", ImageReference("docker.io", "team/app")),
        ("localhost/app", ImageReference("localhost", "app")),
        ("localhost:5000/app:1", ImageReference("localhost:5000", "app", "1")),
        ("registry.example.com/a/b/c:v1.2_3", ImageReference("registry.example.com", "a/b/c", "v1.2_3")),
        ("Registry.Example.com/a", ImageReference("registry.example.com", "a")),
        (f"r.example.com:443/a@{DIGEST}", ImageReference("r.example.com:443", "a", None, DIGEST)),
        (f"r.example.com/a:1@{DIGEST}", ImageReference("r.example.com", "a", "1", DIGEST)),
    ],
)
def test_a_reference_is_taken_apart(text: str, expected: ImageReference) -> None:
    assert parse_image(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "@",
        "/app",
        "app/",
        "a//b",
        "UPPER/case",
        "app:",
        "app:-1",
        "app@sha256:abc",
        "app@md5:" + "0" * 32,
        f"app@{DIGEST}@{DIGEST}",
        "registry.example.com:443@evil/app",
        "user@registry.example.com/app",
        "registry.example.com:port/app",
        "-registry.example.com/app",
        "registry..example.com/app",
        "https://registry.example.com/app",
        "registry.example.com/../app",
        "registry.example.com/app --privileged",
        "registry.example.com/app\n",
        "registry.example.com/%61pp",
        "[::1]:5000/app",
        "a" * 256,
    ],
)
def test_text_that_no_runtime_would_take_is_refused(text: str) -> None:
    with pytest.raises(InvalidImage):
        parse_image(text)


@pytest.mark.parametrize(
    ("allowed", "image", "passes"),
    [
        ("*", "anything/at:all", True),
        ("", "python", False),
        ("registry.example.com", "registry.example.com/a/b:1", True),
        ("registry.example.com/", "registry.example.com/a", True),
        ("registry.example.com", "registry.example.com.evil.io/a", False),
        ("registry.example.com", "registry.example.com:443/a", False),
        ("registry.example.com", "evil.io/registry.example.com/a", False),
        ("registry.example.com", "registry.example.comx/a", False),
        ("registry.example.com/team", "registry.example.com/team/a@" + DIGEST, True),
        ("registry.example.com/team", "registry.example.com/team", True),
        ("registry.example.com/team", "registry.example.com/teammate/a", False),
        ("registry.example.com/team/a", "registry.example.com/team/ab", False),
        ("docker.io/library", "python:3", True),
        ("docker.io/team, localhost:5000", "localhost:5000/x", True),
        ("docker.io/team", "python", False),
        ("REGISTRY.example.com", "registry.example.com/a", True),
    ],
)
def test_prefixes_are_compared_component_by_component(allowed: str, image: str, passes: bool) -> None:
    assert AllowedImages.parse(allowed).allows(parse_image(image)) is passes


@pytest.mark.parametrize("text", ["team", "library/python", "*,docker.io", "r.example.com/*", "r.io/a:1", "r.io/A"])
def test_a_prefix_that_could_be_misread_is_refused(text: str) -> None:
    with pytest.raises(InvalidImage):
        AllowedImages.parse(text)


@given(st.text(alphabet="abAB01.-_:/@%[] \n", max_size=60))
def test_any_text_is_either_refused_or_means_what_it_says(text: str) -> None:
    try:
        image = parse_image(text)
    except InvalidImage:
        return
    assert parse_image(str(image)) == image
    assert not set(str(image)) & set(" \n%[]")


@given(st.text(alphabet="ab01.-:/@", min_size=1, max_size=40))
def test_only_what_begins_with_the_allowed_registry_passes(text: str) -> None:
    allowed = AllowedImages.parse("registry.example.com/team")
    for attempt in (text, f"registry.example.com{text}", f"registry.example.com/team{text}", f"{text}/team/a"):
        try:
            image = parse_image(attempt)
        except InvalidImage:
            continue
        if allowed.allows(image):
            assert image.registry == "registry.example.com"
            assert image.repository.split("/")[0] == "team"
