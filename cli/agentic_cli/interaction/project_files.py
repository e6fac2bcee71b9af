"""Writes the files of a project that runs on a cluster, and reads the definitions that are to be applied."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentic_cli.interaction.project_folder import (
    CONTAINERFILE,
    SESSION_FILE,
    WORKFLOW_FILE,
    ProjectFolder,
    read_text,
    write_file,
)
from agentic_cli.model.containerfile import write_containerfile, write_ignore
from agentic_cli.model.image_builders import DEFAULT_REGISTRY, IGNORE_FILE, ImageName, parse_image
from agentic_cli.model.kinds import WORKFLOWS
from agentic_cli.model.langgraph_file import name_definitions, spell_folder
from agentic_cli.model.project_texts import write_session, write_workflow
from agentic_core import __version__
from agentic_core.errors import PermanentError
from agentic_core.names import API_VERSION, MAX_DEFINITION_NAME, is_dns_label

REGISTRY_VARIABLE: Final = "AGENTIC_IMAGE_REGISTRY"
_RUNNER: Final = f"agentic-operator/runner:{__version__}"
_TAG: Final = "dev"


@dataclass(frozen=True)
class Written:
    """What was written, what was there already and left alone, and what a person should know."""

    files: tuple[Path, ...]
    kept: tuple[Path, ...]
    notes: tuple[str, ...]


def write_files(
    project: ProjectFolder, *, base: str | None, image: str | None, name: str | None, force: bool
) -> Written:
    """Write the files that are missing; with ``force`` all of them."""
    if name is not None and not is_dns_label(name, MAX_DEFINITION_NAME):
        raise PermanentError(
            f"{name!r} is no name of a definition: lower-case letters, digits and '-', {MAX_DEFINITION_NAME} at most"
        )
    settings = project.settings
    names = name_definitions(settings.graphs, name)
    workflow = write_workflow(
        names,
        str(choose_image(project, image)),
        working_dir=project.plan.project.home if project.plan.project.path else "",
        env_file=settings.env_file,
    )
    texts = {
        project.root / CONTAINERFILE: make_containerfile(project, base),
        project.root / WORKFLOW_FILE: workflow,
        project.root / SESSION_FILE: write_session(next(iter(names.values()))),
    }
    if force or project.find_ignore_file() is None:
        texts[project.context / IGNORE_FILE] = write_ignore(settings)
    kept = [file for file in texts if file.exists() and not force]
    for file, text in texts.items():
        if file not in kept:
            write_file(file, text)
    notes = [f"the graph {graph!r} becomes the definition {new!r}" for graph, new in names.items() if graph != new]
    notes += [f"the graph {graph!r} is in JavaScript and left out" for graph in settings.skipped]
    if settings.env_file:
        notes.append(
            f"{settings.env_file} is no part of the image: put what the graph needs of it into a Secret, as"
            f" {WORKFLOW_FILE} shows"
        )
    if all(source.kind == "none" for source in project.plan.sources) and not settings.packages:
        notes.append(
            "no requirements.txt, pyproject.toml or setup.py was found: the image has the runner's libraries alone"
        )
    return Written(tuple(file for file in texts if file not in kept), tuple(kept), tuple(notes))


def make_containerfile(project: ProjectFolder, base: str | None) -> str:
    """Return the text of a Containerfile on top of ``base``, by default the runner's image of this version."""
    return write_containerfile(project.plan, str(parse_image(base)) if base else find_default_base(os.environ))


def find_default_base(variables: Mapping[str, str]) -> str:
    """Return the runner's image of this version, below the mirror if a variable names one.

    It is where the chart's ``global.imageRegistry`` expects it. A Containerfile that was written keeps its own.
    """
    mirror = variables.get(REGISTRY_VARIABLE, "").rstrip("/") or DEFAULT_REGISTRY
    base = parse_image(f"{mirror}/{_RUNNER}")
    if str(base) != f"{mirror}/{_RUNNER}":
        raise PermanentError(
            f"{REGISTRY_VARIABLE} is {mirror!r}: begin with a host, as in 'registry.example.com/mirror'"
        )
    return str(base)


def read_containerfile(project: ProjectFolder, base: str | None) -> str:
    """Return the Containerfile that was written, else the text that would be; ``base`` goes before the written one."""
    file = project.root / CONTAINERFILE
    return read_text(file) if base is None and file.is_file() else make_containerfile(project, base)


def choose_image(project: ProjectFolder, given: str | None) -> ImageName:
    """Return the name of the project's image: the one given, that of its definitions, or one of its folder's name."""
    if given is not None:
        image = parse_image(given)
        return image if image.tag else ImageName(image.repository, _TAG)
    file = project.root / WORKFLOW_FILE
    if file.is_file():
        named = read_definitions(project)[0].get("spec", {}).get("image")
        if isinstance(named, str) and "@" not in named:
            return parse_image(named)
    return parse_image(f"{spell_folder(project.name)}:{_TAG}")


def read_definitions(project: ProjectFolder) -> list[dict[str, Any]]:
    """Return the definitions of ``kubernetes/workflow.yaml``; raise ``PermanentError`` for anything else in it."""
    import yaml

    file = project.root / WORKFLOW_FILE
    try:
        documents = [each for each in yaml.safe_load_all(read_text(file)) if each is not None]
    except yaml.YAMLError as error:
        raise PermanentError(f"{file} is not YAML: {' '.join(str(error).split())}: correct it") from error
    if not documents:
        raise PermanentError(f"{file} is empty: `agentic init --force` writes it anew")
    for each in documents:
        is_ours = (
            isinstance(each, dict) and each.get("kind") == WORKFLOWS.kind and each.get("apiVersion") == API_VERSION
        )
        name = (each.get("metadata") or {}).get("name") if is_ours else None
        if not isinstance(name, str) or not is_dns_label(name, MAX_DEFINITION_NAME):
            raise PermanentError(
                f"{file} holds something else than named {WORKFLOWS.kind}s of {API_VERSION}: apply it by kubectl"
            )
    return documents
