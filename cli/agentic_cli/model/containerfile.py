"""Writes the plan of an image as a Containerfile, which any builder reads.

Pure. What a lock or a list names is installed before the code is copied if that is possible, so that a change of
code builds no more than a copy.
"""

import json
import shlex
from collections.abc import Sequence
from typing import Final

from agentic_cli.model.image_plan import APP, ImagePlan, Source
from agentic_cli.model.langgraph_file import ProjectFile

# The user of the runner's image.
OWNER: Final = "65532:65532"
# Where a build finds the project's own settings of pip, which are no part of the image.
PIP_MOUNT: Final = "pip-config"
# In a build, where nobody else is.
_TMP: Final = "/tmp"  # noqa: S108
_PIP_FILE: Final = f"{_TMP}/pip.conf"
_UV: Final = f"{_TMP}/uv"
_POETRY: Final = f"{_TMP}/poetry"
_PIP: Final = "pip install --no-cache-dir"
_LIST: Final = (
    "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project'].get('dependencies', []), sep='\\n')"
)


def write_containerfile(plan: ImagePlan, base: str) -> str:
    """Return the text of the Containerfile."""
    settings = plan.settings
    prepared = [source for source in plan.sources if _is_prepared(plan, source)]
    lists = {source.folder.path: f"{_TMP}/requirements{number or ''}.txt" for number, source in enumerate(prepared)}
    lines = _explain(plan)
    if prepared:
        lines += [f"FROM {base} AS requirements"]
        for source in prepared:
            lines += _prepare(plan, source, lists[source.folder.path])
        lines.append("")
    lines.append(f"FROM {base}")
    if settings.dockerfile_lines:
        lines += ["USER 0", *settings.dockerfile_lines, f"USER {OWNER}"]
    copying = [_copy([path], APP if path == "." else f"{APP}/{path}") for path in plan.copies]
    lines += copying if plan.copies_first else []
    lines += _install_lists(plan, lists)
    lines += [] if plan.copies_first else copying
    lines += _install_packages(plan)
    lines += [f"WORKDIR {plan.project.home}"] if plan.project.path else []
    return "\n".join([*lines, ""])


def write_ignore(settings: ProjectFile) -> str:
    """Return the text of the .containerignore: what is of no use in an image, and what must not be in one."""
    secret = [name.removeprefix("./") for name in (settings.pip_config_file, settings.env_file) if name]
    useless = [".git", "**/.venv", "**/venv", "**/__pycache__", "**/*.pyc", "**/.langgraph_api", "**/node_modules"]
    useless += ["**/.pytest_cache", "**/.mypy_cache", "**/.ruff_cache", "**/Containerfile"]
    secrets = dict.fromkeys(["**/.env", "**/.env.*", *(f"**/{name}" for name in secret)])
    return "\n".join(["# Of no use in the image.", *useless, "# Secrets.", *secrets, ""])


def _explain(plan: ImagePlan) -> list[str]:
    lines = ["# `agentic build` builds this, and so does any builder of images."]
    if plan.settings.pip_config_file:
        lines.append(f"# It takes --secret id={PIP_MOUNT},src={plan.settings.pip_config_file}: no part of the image.")
    if plan.project.path:
        up = "/".join([".."] * (plan.project.path.count("/") + 1))
        lines.append(f"# The context is {up}: it holds the project and what it depends on.")
    return lines


def _is_prepared(plan: ImagePlan, source: Source) -> bool:
    """Return whether the first stage writes what this folder depends on."""
    is_installed_whole = source.kind == "list" and source.is_package and plan.copies_first
    return source.kind in ("uv", "poetry", "list") and not is_installed_whole


def _prepare(plan: ImagePlan, source: Source, target: str) -> list[str]:
    """Return the lines that write the requirements of a folder to ``target``."""
    folder, settings = source.folder, plan.settings

    def copy(*names: str) -> str:
        if source.names_files:
            return _copy(["."], APP)
        return _copy([folder.locate(name) for name in names], folder.home)

    if source.kind == "list":
        return [copy("pyproject.toml"), f'RUN cd {shlex.quote(folder.home)} && python3 -c "{_LIST}" > {target}']
    if source.kind == "uv":
        options = "--frozen --no-dev"
        options += f" --package {shlex.quote(source.package)}" if source.package else ""
        options += "" if source.names_files else " --no-emit-project"
        # Neither a folder nor a repository has a hash.
        options += " --no-hashes" if source.names_files or "source = { git" in folder.read("uv.lock") else ""
        return [
            _run(settings, f"{_PIP} --target {_UV} uv"),
            copy("pyproject.toml", "uv.lock"),
            _run(settings, f"{_UV}/bin/uv export --quiet {options} --output-file {target}", folder=folder.home),
        ]
    is_locked = "poetry.lock" in folder.files
    lock = () if is_locked else (f"{_POETRY}/bin/poetry lock",)
    export = f"{_POETRY}/bin/poetry export --without-hashes --output {target}"
    return [
        _run(settings, f"python3 -m venv {_POETRY}", f"{_POETRY}/bin/{_PIP} poetry poetry-plugin-export"),
        copy("pyproject.toml", *(("poetry.lock",) if is_locked else ())),
        _run(settings, *lock, export, folder=folder.home),
    ]


def _install_lists(plan: ImagePlan, lists: dict[str, str]) -> list[str]:
    """Return the lines that install what locks and lists name, and names of an index in ``dependencies``."""
    lines: list[str] = []
    found: list[str] = []
    for source in plan.sources:
        folder = source.folder
        target = lists.get(folder.path, "")
        if target:
            lines.append(f"COPY --from=requirements {target} {target}")
        if source.kind in ("uv", "poetry"):
            # A lock names everything: nothing is left to find.
            lines.append(_run(plan.settings, f"{_PIP} --no-deps -r {target}", folder=_enter(plan, folder.home)))
        elif target:
            found.append(f"-r {target}")
        elif source.kind == "requirements" and source.names_files:
            lines.append(_run(plan.settings, f"{_PIP} -r requirements.txt", folder=folder.home))
        elif source.kind == "requirements":
            if not plan.copies_first:
                lines.append(_copy([folder.locate("requirements.txt")], folder.home))
            found.append(f"-r {shlex.quote(f'{folder.home}/requirements.txt')}")
    if plan.copies_first:
        found += [_editable(source) for source in plan.sources if source.kind == "package" or _is_whole(source)]
    found += map(shlex.quote, plan.settings.packages)
    return [*lines, _run(plan.settings, f"{_PIP} {' '.join(found)}")] if found else lines


def _install_packages(plan: ImagePlan) -> list[str]:
    """Return the lines that install the folders themselves, if that is still to be done."""
    left = [source for source in plan.sources if source.is_package]
    if plan.copies_first:
        left = [source for source in left if source.kind in ("uv", "poetry") and not source.names_files]
    whole = [_editable(source) for source in left if source.kind == "package"]
    listed = [_editable(source) for source in left if source.kind != "package"]
    lines = [_run(plan.settings, f"{_PIP} {' '.join(whole)}")] if whole else []
    return [*lines, _run(plan.settings, f"{_PIP} --no-deps {' '.join(listed)}")] if listed else lines


def _is_whole(source: Source) -> bool:
    return source.kind == "list" and source.is_package


def _enter(plan: ImagePlan, home: str) -> str:
    """Return where a list is read: paths in it are those of the project's folder."""
    return home if plan.copies_first else ""


def _editable(source: Source) -> str:
    return f"--editable {shlex.quote(source.folder.home)}"


def _run(settings: ProjectFile, *commands: str, folder: str = "") -> str:
    """Return a RUN line, with the project's own settings of pip if it has some."""
    parts = [f"cd {shlex.quote(folder)}", *commands] if folder else list(commands)
    if not settings.pip_config_file:
        return f"RUN {' && '.join(parts)}"
    mount = f"--mount=type=secret,id={PIP_MOUNT},target={_PIP_FILE},uid={OWNER.partition(':')[0]}"
    return f"RUN {mount} {' && '.join([f'export PIP_CONFIG_FILE={_PIP_FILE}', *parts])}"


def _copy(paths: Sequence[str], target: str) -> str:
    spelled = [*paths, f"{target}/"]
    words = json.dumps(spelled, ensure_ascii=False) if any(" " in each for each in spelled) else " ".join(spelled)
    return f"COPY --chown={OWNER} {words}"
