"""Writable paths of a definition: which would touch what is not theirs, told by JSON pointers."""

import pytest

from agentic_core.resources import WorkflowSpec
from agentic_core.resources.pod import PodTemplate, WritablePath
from agentic_core.writable_paths import find_mount_problems, find_writable_paths
from tests.support.builders import a_definition


def problems(**template: object) -> list[str]:
    return [str(problem) for problem in find_mount_problems(a_definition(podTemplate=template).spec)]


def test_paths_of_their_own_are_fine() -> None:
    assert problems(writablePaths=[{"path": "data"}, {"path": "data/more"}, {"path": ".cache"}]) == []
    assert problems(workingDir="/deps/outer-app/src", writablePaths=[{"path": "data"}]) == []
    assert problems() == []


@pytest.mark.parametrize(
    ("working_dir", "path", "reserved"),
    [
        ("/opt", "agentic", "/opt/agentic"),
        ("/opt/agentic", "lib", "/opt/agentic"),
        ("/var", "run", "/var/run/secrets"),
        ("/run/secrets", "x", "/run/secrets"),
        ("/workspace", "x", "/workspace"),
        ("/tmp", "x", "/tmp"),
        ("/proc", "x", "/proc"),
    ],
)
def test_reserved_folders_are_neither_hidden_nor_changed(working_dir: str, path: str, reserved: str) -> None:
    (said,) = problems(workingDir=working_dir, writablePaths=[{"path": "fine"}, {"path": path}][1:])
    assert said.startswith("/spec/podTemplate/writablePaths/0/path: ")
    assert repr(reserved) in said


def test_a_path_where_a_volume_is_mounted_is_told_with_its_place() -> None:
    volume = {"name": "v", "mountPath": "/data/x", "emptyDir": {}}
    (said,) = problems(workingDir="/data", volumes=[volume], writablePaths=[{"path": "y"}, {"path": "x"}])
    assert said.startswith("/spec/podTemplate/writablePaths/1/path: '/data/x' is where volume 'v' is mounted already")


def test_what_a_stored_object_may_hold_is_judged_too() -> None:
    bad = PodTemplate.model_construct(
        working_dir="/a/../opt",
        volumes=(),
        writable_paths=(WritablePath.model_construct(path="../x", size_limit=None),) * 2,
    )
    spec = WorkflowSpec.model_construct(image="i", pod_template=bad)
    assert [problem.pointer for problem in find_mount_problems(spec)] == [
        "/spec/podTemplate/workingDir",
        "/spec/podTemplate/writablePaths/0/path",
        "/spec/podTemplate/writablePaths/1/path",
    ]


def test_a_limit_is_always_there() -> None:
    spec = a_definition(podTemplate={"writablePaths": [{"path": "a"}, {"path": "b", "sizeLimit": "2Gi"}]}).spec
    assert find_writable_paths(spec) == [("/app/a", "1Gi"), ("/app/b", "2Gi")]
