"""Finds each program in the cache, fetches it, takes it from Debian or builds it: in this order, and never twice."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hack.cluster import debian, gobuild
from hack.cluster.download import Sites, Unreachable, download
from hack.cluster.folders import cache_folder
from hack.cluster.locks import locked
from hack.cluster.programs import PROGRAMS, Program
from hack.cluster.progress import Progress

_ENVTEST = ("etcd", "kube-apiserver", "kubectl")


def find(program: Program, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Find a program that is already here: in our cache, or among the test binaries the person names."""
    cached = cache_folder(environment) / "bin" / program.folder / program.name
    if cached.exists():
        return cached
    assets = environment.get("KUBEBUILDER_ASSETS")
    if assets and program.name in _ENVTEST and (named := Path(assets) / program.name).exists():
        return named
    return None


def ensure(names: Iterable[str], *, progress: Progress | None = None, sites: Sites | None = None) -> dict[str, Path]:
    """Return where each program is, after getting those that are not here.

    Two calls at the same time wait for each other. Raises MissingTool when there is no way to get one.
    """
    programs = [PROGRAMS[name] for name in names]
    missing = [program for program in programs if find(program) is None]
    if missing:
        progress = progress or Progress()
        with locked(cache_folder() / "get.lock"):
            _get([program for program in missing if find(program) is None], progress, sites or Sites())
    return {program.name: path for program in programs if (path := find(program))}


def kubectl(*, progress: Progress | None = None) -> Path:
    """Find kubectl on the PATH, or get it."""
    found = shutil.which("kubectl")
    return Path(found) if found else ensure(["kubectl"], progress=progress)["kubectl"]


def _get(programs: Sequence[Program], progress: Progress, sites: Sites) -> None:
    # What is published first: the first that is not ends the downloads.
    left = sorted(programs, key=lambda program: program.source is not None)
    while left:
        target = _target(left[0])
        try:
            download(left[0], target, sites=sites, status=progress.status)
        except Unreachable as reason:
            progress.say(f"no official download: {reason}")
            break
        progress.say(f"downloaded {left[0].name} {left[0].version}")
        del left[0]
    if not left:
        return
    scratch = cache_folder() / "build"
    left = [program for program in left if not debian.take(program, scratch, _target(program), progress)]
    if not left:
        return
    for name, path in gobuild.build(left, scratch, progress).items():
        path.rename(_target(PROGRAMS[name]))
        progress.say(f"built {name} {PROGRAMS[name].version}")
    shutil.rmtree(scratch / "out", ignore_errors=True)


def _target(program: Program) -> Path:
    target = cache_folder() / "bin" / program.folder / program.name
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
