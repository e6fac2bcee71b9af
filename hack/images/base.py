"""Gets the images that ours stand on: the official ones, or Debian put together here when no registry answers."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import deps
from hack.cluster.errors import ClusterError
from hack.cluster.folders import cache_folder
from hack.cluster.progress import Progress
from hack.images.builders import Builder

_PULL_SECONDS = 180
_UNUSED_BY_POSTGRES = (
    "lib/*/libLLVM*",
    "lib/*/libz3*",
    "lib/*/perl",
    "lib/postgresql/*/lib/bitcode",
    "lib/postgresql/*/lib/llvmjit*",
    "share/i18n",
    "share/perl",
)
_MERGED_USR = Path("/usr/share/mmdebstrap/hooks/maybe-merged-usr")
_LEAN = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")


@dataclass(frozen=True, slots=True)
class Base:
    """A base: its official image, the variable that names another, and the Debian packages that make one."""

    name: str
    official: str
    variable: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()
    suite: str | None = ""
    """The Debian that has these packages; that of this machine where empty, None if there is none."""


# On which the tests of another Python run: `AGENTIC_OTHER_PYTHON=3.14 make full PART=python` where a registry answers.
OTHER_PYTHON = os.environ.get("AGENTIC_OTHER_PYTHON") or "3.13"
_DEBIANS = {"3.11": "bookworm", "3.13": "trixie"}


def _python(name: str, version: str, variable: str, suite: str | None = "") -> Base:
    return Base(
        name,
        f"docker.io/library/python:{version}-slim",
        variable,
        ("ca-certificates", "python3", "python3-venv"),
        # What the official image calls it.
        ('--customize-hook=ln -s python3 "$1/usr/bin/python"',),
        suite,
    )


BASES = {
    "base-python": _python("base-python", "3.11", "AGENTIC_PYTHON_IMAGE"),
    f"base-python{OTHER_PYTHON}": _python(
        f"base-python{OTHER_PYTHON}", OTHER_PYTHON, "AGENTIC_OTHER_PYTHON_IMAGE", _DEBIANS.get(OTHER_PYTHON)
    ),
    "base-postgres": Base(
        "base-postgres",
        "docker.io/library/postgres:16",
        "AGENTIC_POSTGRES_IMAGE",
        ("postgresql",),
        # The user of the official image, made before the package makes one with another number.
        (
            """--essential-hook=echo 'postgres:x:999:' >> "$1/etc/group\"""",
            """--essential-hook=echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' >> "$1/etc/passwd\"""",
            '--essential-hook=mkdir -p "$1/etc/postgresql-common"',
            '--essential-hook=echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"',
            # The just-in-time compiler and what only installing needed: two thirds of the image.
            f'--customize-hook=cd "$1"/usr && rm -rf {" ".join(_UNUSED_BY_POSTGRES)}',
        ),
    ),
}


def ensure_bases(builder: Builder, names: Sequence[str], progress: Progress) -> dict[str, str]:
    """Say for each base which image to build on, after getting those that are not here, side by side."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = pool.map(lambda name: _ensure(builder, BASES[name], progress), names)
        return dict(zip(names, found, strict=True))


def build_debian_command(base: Base, suite: str, archive: Path) -> list[str]:
    """Write the command that puts a small Debian or Ubuntu with some packages together."""
    lean = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAN]
    # Without the hook, Debian 12 installs Perl to merge /usr.
    merged, packages = [], base.packages
    if _MERGED_USR.is_dir():
        merged, packages = [f"--hook-dir={_MERGED_USR}"], ("usr-is-merged", *packages)
    include = f"--include={','.join(packages)}"
    return ["mmdebstrap", "--variant=minbase", *merged, include, *lean, *base.hooks, suite, str(archive)]


def parse_suite(os_release: str) -> str:
    """Read this machine's Debian or Ubuntu release, whose packages it surely reaches; Debian 12 elsewhere."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    known = values.get("ID", "").strip('"') in ("debian", "ubuntu")
    return (values.get("VERSION_CODENAME", "").strip('"') if known else "") or "bookworm"


def _ensure(builder: Builder, base: Base, progress: Progress) -> str:
    named = os.environ.get(base.variable)
    if named:
        return named
    if builder.name != "buildah":
        return base.official
    suite = base.suite or parse_suite(Path("/etc/os-release").read_text())
    if base.suite is None:
        return _pull(builder, base, progress)
    recipe = hashlib.sha256(" ".join(build_debian_command(base, suite, Path("x"))).encode()).hexdigest()[:12]
    local = f"localhost/agentic-operator/base-{base.name.removeprefix('base-')}:{recipe}"
    for reference in (local, base.official):
        if builder.image_id(reference):
            return reference
    progress.say(f"getting {base.official}")
    if builder.pull(base.official, seconds=_PULL_SECONDS):
        return base.official
    progress.say(f"no registry answers for {base.official}: putting together {suite} with {', '.join(base.packages)}")
    deps.ensure(deps.DEBIAN_BASE, progress.say)
    _build_debian(builder, base, suite, local)
    progress.say(f"made the image {local}")
    return local


def _pull(builder: Builder, base: Base, progress: Progress) -> str:
    """Get the official image of a base that no Debian has the packages of."""
    progress.say(f"getting {base.official}")
    if builder.image_id(base.official) or builder.pull(base.official, seconds=_PULL_SECONDS):
        return base.official
    raise ClusterError(
        f"no registry answers for {base.official}, and no Debian has it: name an image that is here in {base.variable}"
    )


def _build_debian(builder: Builder, base: Base, suite: str, reference: str) -> None:
    folder = cache_folder() / "build" / base.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = folder / "root.tar"
    done = subprocess.run(build_debian_command(base, suite, archive), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"mmdebstrap failed:\n{done.stderr.strip()[-3000:]}")
    containerfile = folder / "Containerfile"
    containerfile.write_text("FROM scratch\nADD root.tar /\n")
    builder.build(containerfile, folder, reference, {})
    shutil.rmtree(folder)
