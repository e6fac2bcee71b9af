"""Knows the image builders: Docker, podman and buildah, told apart by what each calls things."""

import configparser
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from hack.cluster import deps
from hack.cluster.errors import ClusterError, MissingTool
from hack.cluster.folders import cache_folder
from hack.cluster.progress import Progress

# How often a command is started at most where the kernel refuses its start.
_STARTS: Final = 5
BuilderName = Literal["docker", "podman", "buildah"]

_CERTIFICATES = Path("/etc/ssl/certs")
# A machine whose programs are told of a bundle has an authority of its own that an image knows nothing of.
_BUNDLE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "timeout")
_NPM_KEYS = ("registry", "cafile")
_PIP_SETTINGS = {
    "PIP_INDEX_URL": "index-url",
    "PIP_EXTRA_INDEX_URL": "extra-index-url",
    "PIP_DEFAULT_TIMEOUT": "timeout",
}


def find_bundle(environment: Mapping[str, str]) -> str | None:
    """Find the bundle of authorities that this machine's programs are told to trust, if it is a shared one."""
    for name in _BUNDLE_VARIABLES:
        value = environment.get(name)
        if value and Path(value).is_relative_to(_CERTIFICATES):
            return value
    return None


def read_pip_settings(files: Iterable[Path]) -> dict[str, str]:
    """Read from this machine's pip configuration where it gets packages; later files win, as with pip itself."""
    parser = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error):
        parser.read(files)
    section = dict(parser.items("global")) if parser.has_section("global") else {}
    return {key: value for key, value in section.items() if key in _PIP_KEYS}


def build_pip_configuration(environment: Mapping[str, str], files: Iterable[Path] = ()) -> str:
    """Write what this machine's pip is told by files and variables as a file for the pip inside a build."""
    settings = read_pip_settings(files)
    settings |= {key: environment[name] for name, key in _PIP_SETTINGS.items() if environment.get(name)}
    if bundle := find_bundle(environment):
        settings["cert"] = bundle
    settings["cache-dir"] = "/var/cache/pip"
    settings["disable-pip-version-check"] = "true"
    settings["root-user-action"] = "ignore"
    return "".join(["[global]\n", *(f"{key} = {value}\n" for key, value in settings.items())])


def build_uv_configuration(environment: Mapping[str, str], files: Iterable[Path] = ()) -> str:
    """Write the same for uv, which the LangGraph CLI's lines install with; empty if there is nothing to say."""
    settings = read_pip_settings(files)
    index = environment.get("UV_DEFAULT_INDEX") or environment.get("PIP_INDEX_URL") or settings.get("index-url")
    lines = ["system-certs = true\n"] if find_bundle(environment) else []
    if index:
        lines.append(f"[[index]]\nurl = {json.dumps(index)}\ndefault = true\n")
    return "".join(lines)


def build_npm_configuration(environment: Mapping[str, str], files: Iterable[Path] = ()) -> str:
    """Write for the npm inside a build where this machine's npm gets packages; later files win over earlier ones."""
    found: dict[str, str] = {}
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        pairs = [line.partition("=") for line in lines]
        found |= {key.strip(): value.strip() for key, _, value in pairs if key.strip() in _NPM_KEYS}
    if named := environment.get("NPM_CONFIG_REGISTRY") or environment.get("npm_config_registry"):
        found["registry"] = named
    if bundle := find_bundle(environment):
        found["cafile"] = bundle
    return "".join([f"{key}={value}\n" for key, value in found.items()])


def _npm_files() -> list[Path]:
    return [Path("/usr/etc/npmrc"), Path("/etc/npmrc"), Path.home() / ".npmrc"]


def _pip_files() -> list[Path]:
    return [Path("/etc/pip.conf"), Path.home() / ".pip" / "pip.conf", Path.home() / ".config" / "pip" / "pip.conf"]


def build_mounts(
    environment: Mapping[str, str], configuration: Path, cache: Path, uv: Path | None = None, npm: Path | None = None
) -> list[str]:
    """Write the mounts of a build by podman or buildah: pip's cache and settings, uv's, npm's, the authorities.

    None of them becomes part of the image, and no Containerfile has to know of them.
    """
    mounts = [f"{cache}:/var/cache/pip:rw", f"{configuration}:/etc/pip.conf:ro"]
    if uv is not None:
        mounts.append(f"{uv}:/etc/uv/uv.toml:ro")
    if npm is not None:
        mounts.append(f"{npm}:/etc/npmrc:ro")
    if find_bundle(environment):
        mounts.append(f"{_CERTIFICATES}:{_CERTIFICATES}:ro")
    return [part for mount in mounts for part in ("--volume", mount)]


@dataclass(frozen=True, slots=True)
class Builder:
    """One builder that works on this machine."""

    name: BuilderName

    def build(
        self,
        containerfile: Path,
        context: Path,
        reference: str,
        build_arguments: Mapping[str, str],
        contexts: Mapping[str, Path] | None = None,
    ) -> None:
        """Build an image, with more folders by name; raises ClusterError with the end of what the builder said."""
        arguments = [part for name, value in build_arguments.items() for part in ("--build-arg", f"{name}={value}")]
        for name, folder in (contexts or {}).items():
            arguments += ["--build-context", f"{name}={folder}"]
        argv = [*self._build_command(), "--file", str(containerfile), "--tag", reference, *arguments, str(context)]
        _run(argv)

    def tag(self, reference: str, other: str) -> None:
        """Give an image another name."""
        _run([self.name, "tag", reference, other])

    def save(self, reference: str, archive: Path) -> None:
        """Write an image in the format of `docker save`."""
        if self.name == "buildah":
            _run(["buildah", "push", reference, f"docker-archive:{archive}:{reference}"])
        elif self.name == "podman":
            _run(["podman", "save", "--format", "docker-archive", "--output", str(archive), reference])
        else:
            _run(["docker", "save", "--output", str(archive), reference])

    def pull(self, reference: str, *, seconds: float) -> bool:
        """Get an image from its registry; False when that cannot be reached in time."""
        try:
            done = subprocess.run([self.name, "pull", reference], capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def image_id(self, reference: str) -> str | None:
        """Return what a name stands for here; None when it is not here."""
        inspect = ["inspect", "--type", "image", "--format"]
        form = "{{.FromImageID}}" if self.name == "buildah" else "{{.Id}}"
        done = subprocess.run([self.name, *inspect, form, reference], capture_output=True, text=True, check=False)
        return done.stdout.strip() or None if done.returncode == 0 else None

    def find_options(self) -> list[str]:
        """Return what a build is given of this machine: the cache of pip, and the settings of installers."""
        if self.name == "docker":
            return []
        folder = cache_folder()
        cache, configuration = folder / "pip", folder / "pip.conf"
        # Images run as another user than the one whose cache this is: everybody may write here.
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o777)
        configuration.write_text(build_pip_configuration(os.environ, _pip_files()))
        uv = folder / "uv.toml"
        uv.write_text(build_uv_configuration(os.environ, _pip_files()))
        npm = folder / "npmrc"
        npm.write_text(build_npm_configuration(os.environ, _npm_files()))
        given = [file if file.stat().st_size else None for file in (uv, npm)]
        return build_mounts(os.environ, configuration, cache, *given)

    def _build_command(self) -> list[str]:
        options = self.find_options()
        if self.name == "docker":
            return ["docker", "build"]
        if self.name == "podman":
            return ["podman", "build", "--layers", *options]
        # The isolation that needs neither user namespaces nor a writable control group.
        return ["buildah", "bud", "--isolation", "chroot", "--layers", *options]


def find_engine() -> Builder | None:
    """Find Docker or podman where one of them works."""
    if _answers(["docker", "info"]):
        return Builder("docker")
    if _answers(["podman", "info"]):
        return Builder("podman")
    return None


def find_builder(progress: Progress) -> Builder:
    """Find a builder that works, or install buildah where that is one command; raises MissingTool otherwise."""
    if engine := find_engine():
        return engine
    try:
        deps.ensure(deps.BUILDER, progress.say)
    except MissingTool as error:
        raise MissingTool(f"no image can be built here; start Docker, install podman, or: {error}") from error
    return Builder("buildah")


def is_start_refused(status: int, said: str) -> bool:
    """Return whether buildah could not start itself for a step, which says nothing about the step.

    It runs each step from a sealed copy of itself in memory. The kernel refuses the seal with EBUSY while anything
    else still counts a page of the copy, which on a busy machine outlasts the 150 ms that it waits.
    """
    return status != 0 and "sealing memfd copy: Device or resource busy" in said


def _answers(argv: Sequence[str]) -> bool:
    """Return whether a builder works; a docker command without its engine does not."""
    if shutil.which(argv[0]) is None:
        return False
    try:
        return subprocess.run(argv, capture_output=True, timeout=15, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _run(argv: Sequence[str]) -> None:
    for _ in range(_STARTS):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if not is_start_refused(done.returncode, done.stdout):
            break
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(argv[:3])} …` failed:\n{done.stdout.strip()[-3000:]}")
