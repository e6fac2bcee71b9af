"""Paths of mounts: none leaves its folder, and none touches ours."""

import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.mount_paths import RELATIVE, RESERVED, explain_bad_path, find_reserved, is_within

TEXT = st.text(alphabet="a.-_/: \0é~", max_size=20)


@pytest.mark.parametrize("path", ["data", ".cache", "data/x", "a.b", "..x", "a..b", "v1@2+3", "_"])
def test_relative_paths_that_are_fine(path: str) -> None:
    assert explain_bad_path(path, is_relative=True) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "...",
        "/data",
        "data/",
        "a//b",
        "a/../b",
        "a/..",
        "./a",
        "a/.",
        "a:b",
        "a b",
        "a\n",
        "~",
        "a" * 513,
    ],
)
def test_relative_paths_that_are_refused(path: str) -> None:
    assert explain_bad_path(path, is_relative=True)


@pytest.mark.parametrize("path", ["data", "/", "/data/", "/data/../opt/agentic", "//data", "/data/./x", "/data:ro"])
def test_absolute_paths_that_are_refused(path: str) -> None:
    assert explain_bad_path(path)


@given(TEXT)
def test_what_is_accepted_is_normal_and_stays_below_its_folder(path: str) -> None:
    if explain_bad_path(path, is_relative=True) is None:
        assert posixpath.normpath(path) == path
        assert is_within(posixpath.normpath(f"/app/{path}"), "/app")
        assert re.fullmatch(RELATIVE, path)
    if explain_bad_path(path) is None:
        assert posixpath.normpath(path) == path


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("/opt/agentic", "/opt/agentic"),
        ("/opt/agentic/lib", "/opt/agentic"),
        ("/opt", "/opt/agentic"),
        ("/opt/agentic2", None),
        ("/opt/other", None),
        ("/var", "/var/run/secrets"),
        ("/var/run/secrets/agentic/postgres", "/var/run/secrets"),
        ("/run/secrets/kubernetes.io", "/run/secrets"),
        ("/var/lib/x", None),
        ("/workspace/x", "/workspace"),
        ("/tmp", "/tmp"),
        ("/etc", "/etc/hosts"),
        ("/etc/agentic", None),
        ("/proc/self", "/proc"),
        ("/app/data", None),
        ("/data", None),
    ],
)
def test_mounts_on_below_and_above_our_folders_are_found(path: str, reserved: str | None) -> None:
    assert find_reserved(path) == reserved


def test_the_root_touches_all_that_is_ours() -> None:
    assert all(is_within(folder, "/") for folder in RESERVED)
