"""Builds the programs from source with Go, for machines that reach a Go module proxy and no download site.

The cluster's programs are built by one `go build` in one module, so that what they share (client libraries, gRPC,
protobuf) is compiled once. Every module that Kubernetes names is held at the version Kubernetes was
released with, also for the programs beside it. A program that tests start is built in a module of its own, with
what its project was released with.
"""

import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.gotoolchain import find_go
from hack.cluster.programs import Program
from hack.cluster.progress import Progress
from hack.cluster.versions import COREDNS, ETCD, KUBERNETES

_MODULE = "cluster.local/programs"
# What two cores compile, roughly: packages differ much.
_PACKAGES_A_MINUTE = 450
_REQUIREMENT = re.compile(r"^\s+(\S+) (v\S+)(?: // indirect)?$", re.MULTILINE)
_REPLACEMENT = re.compile(r"^(?:replace\s+|\s+)(\S+(?: v\S+)?) => ([^.\s]\S* v\S+)$", re.MULTILINE)
_GO_VERSION = re.compile(r"^go (\d+\.\d+(?:\.\d+)?)$", re.MULTILINE)

_COREDNS_MAIN = """\
package main

import (
	_ "github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() { coremain.Run() }
"""


def build_module(kubernetes_module: str) -> str:
    """Write our go.mod from Kubernetes' own: what it requires becomes a fixed version.

    Its staging modules are required as v0.0.0 there and published as v0.MINOR.PATCH. CoreDNS's own modules
    are left free: Kubernetes names old ones for another purpose.
    """
    staging = f"v0.{KUBERNETES.split('.', 1)[1]}"
    language = _GO_VERSION.search(kubernetes_module)
    if language is None:
        raise ClusterError(f"the go.mod of Kubernetes {KUBERNETES} names no Go version: its format changed")
    pins = [
        f"\t{module} => {module} {staging if version == 'v0.0.0' else version}"
        for module, version in sorted(_REQUIREMENT.findall(kubernetes_module))
        if not module.startswith("github.com/coredns/")
    ]
    wanted = (
        f"k8s.io/kubernetes {KUBERNETES}",
        f"go.etcd.io/etcd/server/v3 {ETCD}",
        f"github.com/coredns/coredns {COREDNS}",
    )
    return "\n".join(
        [
            f"module {_MODULE}",
            "",
            f"go {language[1]}",
            "",
            "require (",
            *(f"\t{one}" for one in wanted),
            ")",
            "",
            "replace (",
            *pins,
            ")",
            "",
        ]
    )


def build_own_module(name: str, version: str, own_module: str) -> str:
    """Write a go.mod that requires one module, with the replacements of its own that name published modules.

    Go heeds the replacements of the main module alone, and what stands beside it in its repository is published too.
    """
    language = _GO_VERSION.search(own_module)
    if language is None:
        raise ClusterError(f"the go.mod of {name} {version} names no Go version: its format changed")
    replacements = [f"replace {old} => {new}" for old, new in _REPLACEMENT.findall(own_module)]
    return "\n".join(
        [f"module {_MODULE}", "", f"go {language[1]}", "", f"require {name} {version}", "", *replacements, ""]
    )


def build_linker_flags(version: str = KUBERNETES) -> str:
    """Write the flags without which Kubernetes calls itself v0.0.0-master, and strip what only debuggers read."""
    major, minor, _ = version.removeprefix("v").split(".")
    stamp = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {stamp}.{key}={value}" for key, value in values.items())])


def go_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Set what a build needs and keep what the person set: proxy, caches, private modules."""
    return {
        **environment,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod -buildvcs=false",
        "GO111MODULE": "on",
        "GOWORK": "off",
    }


def build(programs: Sequence[Program], folder: Path, progress: Progress) -> dict[str, Path]:
    """Build programs below a scratch folder and say where each is; the caller moves them.

    Safe to kill and repeat: what was compiled stays in Go's own cache.
    """
    go = find_go(progress)
    output = folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    if shared := [program for program in programs if program.module is None]:
        _write_module(go, folder / "module", progress)
        _build(go, shared, folder / "module", output, build_linker_flags(), progress)
    for program in programs:
        if program.module is not None:
            module = folder / program.name
            _write_own_module(go, program.module, program.module_version, module, progress)
            if program.source is not None:
                (module / program.package).mkdir(exist_ok=True)
                shutil.copy(program.source, module / program.package)
            flags = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in program.stamps)])
            _build(go, [program], module, output, flags, progress)
    return {program.name: output / program.built_name for program in programs}


def _build(
    go: str, programs: Sequence[Program], module: Path, output: Path, linker_flags: str, progress: Progress
) -> None:
    packages = [program.package for program in programs]
    tags = ["-tags", ",".join(sorted({program.tags for program in programs if program.tags}))]
    total = len(_run(go, ["list", "-deps", *tags, *packages], module).splitlines())
    names = ", ".join(program.name for program in programs)
    minutes = math.ceil(total / _PACKAGES_A_MINUTE)
    progress.say(f"building {names} with Go, once for this machine: about {minutes} min on two cores")
    argv = [go, "build", "-v", "-trimpath", *tags, "-ldflags", linker_flags, "-o", f"{output}/", *packages]
    _follow(argv, module, total, progress)


def build_small(source: Path, target: Path) -> None:
    """Build one file that needs the standard library only."""
    unfinished = target.with_name(f".{target.name}.build")
    _run(find_go(), ["build", "-trimpath", "-ldflags", "-s -w", "-o", str(unfinished), str(source)], source.parent)
    unfinished.rename(target)


def _write_module(go: str, module: Path, progress: Progress) -> None:
    progress.say(f"fetching the source of Kubernetes {KUBERNETES} from the Go module proxy")
    (module / "coredns").mkdir(parents=True, exist_ok=True)
    found = json.loads(_run(go, ["mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES}"], module))
    source = Path(found["Dir"])
    (module / "coredns" / "main.go").write_text(_COREDNS_MAIN)
    (module / "go.mod").write_text(build_module((source / "go.mod").read_text()))
    sums = module / "go.sum"
    if not sums.exists():
        sums.write_text((source / "go.sum").read_text())


def _write_own_module(go: str, name: str, version: str, module: Path, progress: Progress) -> None:
    progress.say(f"fetching the source of {name} {version} from the Go module proxy")
    module.mkdir(parents=True, exist_ok=True)
    found = json.loads(_run(go, ["mod", "download", "-json", f"{name}@{version}"], module))
    source = Path(found["Dir"])
    (module / "go.mod").write_text(build_own_module(name, version, (source / "go.mod").read_text()))
    sums = module / "go.sum"
    if not sums.exists():
        sums.write_text((source / "go.sum").read_text())


def _run(go: str, arguments: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        [go, *arguments], cwd=folder, env=go_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ClusterError(f"go {arguments[0]} failed:\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def _follow(argv: Sequence[str], folder: Path, total: int, progress: Progress) -> None:
    """Run a verbose build and turn the packages it names into progress."""
    last: list[str] = []
    count = 0
    with subprocess.Popen(argv, cwd=folder, env=go_environment(), stderr=subprocess.PIPE, text=True) as build_process:
        for line in build_process.stderr or ():
            last = [*last[-30:], line.rstrip()]
            if not line.startswith(("go: ", "#", "\t")):
                count += 1
            progress.status(f"compiled {count} of at most {total} packages, now {line.strip()[:70]}")
    if build_process.returncode != 0:
        text = "\n".join(last)
        raise ClusterError(f"go build failed; run the command again to go on where it stopped:\n{text}")
