"""The mount points of a definition's writable paths, and the faults of invalid ones."""

from typing import Final

from agentic_core.contract import WORKING_DIR
from agentic_core.errors import Problem
from agentic_core.mount_paths import explain_bad_path, explain_bad_volume_path, find_reserved
from agentic_core.resources.workflow import WorkflowSpec

DEFAULT_SIZE: Final = "1Gi"


def find_writable_paths(spec: WorkflowSpec | None) -> list[tuple[str, str]]:
    """Return the absolute paths, in their order, and how much each may hold."""
    template = spec.pod_template if spec is not None else None
    if template is None:
        return []
    below = (template.working_dir or WORKING_DIR).rstrip("/")
    return [(f"{below}/{each.path}", each.size_limit or DEFAULT_SIZE) for each in template.writable_paths]


def find_mount_problems(spec: WorkflowSpec) -> list[Problem]:
    """Return the faults of a definition's volumes and writable paths, with JSON pointers."""
    template = spec.pod_template
    if template is None:
        return []
    problems: list[Problem] = []
    place = "/spec/podTemplate"
    if template.working_dir is not None and (fault := explain_bad_path(template.working_dir)):
        problems.append(Problem(f"{place}/workingDir", fault))
    taken: dict[str, str] = {}
    for index, volume in enumerate(template.volumes):
        pointer = f"{place}/volumes/{index}/mountPath"
        if fault := explain_bad_volume_path(volume.mount_path):
            problems.append(Problem(pointer, fault))
        elif volume.mount_path in taken:
            problems.append(
                Problem(pointer, f"{volume.mount_path!r} is where {taken[volume.mount_path]} is mounted already")
            )
        taken.setdefault(volume.mount_path, f"volume {volume.name!r}")
    for index, ((path, _), each) in enumerate(zip(find_writable_paths(spec), template.writable_paths, strict=True)):
        pointer = f"{place}/writablePaths/{index}/path"
        if fault := explain_bad_path(each.path, is_relative=True):
            problems.append(Problem(pointer, fault))
        elif reserved := find_reserved(path):
            problems.append(Problem(pointer, f"{path!r} would touch {reserved!r}, which is reserved: choose another"))
        elif path in taken:
            problems.append(
                Problem(pointer, f"{path!r} is where {taken[path]} is mounted already: leave one of them out")
            )
        taken.setdefault(path, f"writable path {each.path!r}")
    return problems
