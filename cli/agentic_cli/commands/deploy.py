"""``deploy``: a project from its folder to definitions that take sessions."""

import functools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from agentic_cli.commands.init import (
    base_option,
    builder_options,
    find_loading,
    folder_argument,
    image_option,
    name_option,
    write_and_tell,
)
from agentic_cli.commands.options import target_options
from agentic_cli.interaction.target import Project, Target
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.image_builders import DEFAULT_REGISTRY, BuilderName, ImageName, explain_no_load, parse_image
from agentic_cli.model.kinds import WORKFLOWS
from agentic_cli.output import terminal
from agentic_cli.output.durations import convert_duration
from agentic_core.errors import PermanentError

MANAGER: Final = "agentic-deploy"
# Of an image's digest, as a tag: what is built anew is another image to the cluster.
_DIGITS: Final = 12


@click.command()
@folder_argument
@image_option
@base_option
@name_option
@builder_options
@click.option("--push", is_flag=True, help="Push the image, also if it could be loaded.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before files are written.")
@click.option("--dry-run", is_flag=True, help="Let the API server check the definitions; build and change nothing.")
@click.option("--replace", is_flag=True, help="Replace definitions of the same names that are of other images.")
@click.option(
    "--timeout",
    callback=convert_duration,
    default="5m",
    show_default=True,
    metavar="DURATION",
    help="How long to wait until the definitions are ready.",
)
@click.option("-p", "--param", "pairs", metavar="KEY=VALUE", multiple=True, help="Start a session with this input.")
@target_options
def deploy(
    target: Target,
    folder: Path,
    image: str | None,
    base: str | None,
    name: str | None,
    builder: str | None,
    build_options: tuple[str, ...],
    push: bool,
    yes: bool,
    dry_run: bool,
    replace: bool,
    timeout: float | None,
    pairs: tuple[str, ...],
) -> int:
    """Bring a LangGraph project to the cluster.

    Writes what `agentic init` writes if it is missing, builds the image, gives it to the cluster (a kind, k3d,
    minikube or local cluster gets it directly, another one by its registry), applies the definitions, and waits until
    they take sessions. Without a tag of yours, an image is called by its content.

    \b
    Examples:
      agentic deploy
      agentic deploy projects/weather -t registry.example.com/team/weather --timeout 10m
      agentic deploy --yes -p question=hello
    """
    from agentic_cli.interaction.image_builds import can_load, find_builder
    from agentic_cli.interaction.project_files import choose_image, read_containerfile, read_definitions, write_files
    from agentic_cli.interaction.project_folder import WORKFLOW_FILE, read_folder

    source = read_folder(folder)
    if not (source.root / WORKFLOW_FILE).is_file():
        _require_consent(source.root, WORKFLOW_FILE, yes=yes or dry_run)
        if dry_run:
            raise PermanentError(f"there is no {WORKFLOW_FILE} to check: `agentic init` writes it")
        write_and_tell(functools.partial(write_files, source, base=base, image=image, name=name, force=False))
    definitions = read_definitions(source)
    if pairs and len(definitions) != 1:
        raise click.UsageError(f"-p starts a session of one workflow, and this project has {len(definitions)}")
    chosen = choose_image(source, image)
    with target.open() as project:
        # What the cluster refuses is refused before anything is built, and what would take another project's place.
        if not replace:
            for definition in definitions:
                _require_own(project, str(definition["metadata"]["name"]), chosen)
        names = [_apply(project, definition, str(chosen), dry_run=True) for definition in definitions]
        if dry_run:
            for each in names:
                terminal.say(f"{WORKFLOWS.singular}/{each} can be applied (dry run)")
            return ExitStatus.COMPLETED
        context, socket = find_loading(target)
        is_loaded = not push and can_load(context, socket)
        if not is_loaded and chosen.registry == DEFAULT_REGISTRY and not push:
            raise PermanentError(explain_no_load(context, str(chosen)))
        engine = find_builder(builder)
        built = _build(source, read_containerfile(source, base), chosen, engine, build_options, keeps_tag=bool(image))
        _give(engine, built, context, socket, is_loaded=is_loaded)
        for definition in definitions:
            terminal.say(f"{WORKFLOWS.singular}/{_apply(project, definition, built)} applied")
        raws = _wait(project, names, timeout)
    return _begin(target, raws, pairs)


def _require_consent(root: Path, file: str, *, yes: bool) -> None:
    if yes:
        return
    if not terminal.is_interactive():
        raise PermanentError(f"there is no {file} in {str(root)!r}: run `agentic init` there, or add --yes")
    click.confirm(f"write a Containerfile and {file} into {root}?", default=True, abort=True, err=True)


def _build(
    source: Any, text: str, image: ImageName, builder: BuilderName, options: Sequence[str], *, keeps_tag: bool
) -> str:
    """Build the image and return its name: the one given, or one that its content makes."""
    from agentic_cli.interaction.image_builds import build_image, tag_image

    terminal.note(f"building {image} with {builder}")
    digest = build_image(source, text, str(image), builder, options)
    if keeps_tag:
        return str(image)
    built = str(ImageName(image.repository, digest[:_DIGITS]))
    # By its digest: another build may have taken the name meanwhile.
    tag_image(builder, digest, built)
    return built


def _give(builder: BuilderName, image: str, context: str, socket: Path | None, *, is_loaded: bool) -> None:
    from agentic_cli.interaction.image_builds import load_image, push_image

    if is_loaded:
        terminal.note(f"loading {image} into the cluster of context {context!r}")
        load_image(builder, image, context, socket)
    else:
        terminal.note(f"pushing {image}")
        push_image(builder, image)


def _require_own(project: Project, name: str, chosen: ImageName) -> None:
    """Raise ``PermanentError`` if there is a definition of this name with another image, whatever its tag or digest."""
    from agentic_cli.interaction.project_folder import WORKFLOW_FILE
    from agentic_cli.kube.errors import NotFound

    try:
        there = project.api.get(WORKFLOWS, project.namespace, name)
    except NotFound:
        return
    image = str((there.get("spec") or {}).get("image") or "")
    try:
        repository = parse_image(image.partition("@")[0]).repository
    except PermanentError:
        repository = image
    if repository != chosen.repository:
        raise PermanentError(
            f"there is a definition {name!r} with the image {image!r}: give this one another name in {WORKFLOW_FILE}"
            " (metadata.name), or add --replace"
        )


def _apply(project: Project, definition: Mapping[str, Any], image: str, *, dry_run: bool = False) -> str:
    """Apply one definition with its image and return its name."""
    name = str(definition["metadata"]["name"])
    namespace = definition["metadata"].get("namespace", project.namespace)
    if namespace != project.namespace:
        raise PermanentError(f"{name} is of the namespace {namespace!r}: add `-n {namespace}`, or take it out")
    body = {
        **definition,
        "metadata": {**definition["metadata"], "namespace": namespace},
        "spec": {**(definition.get("spec") or {}), "image": image},
    }
    project.api.apply(WORKFLOWS, namespace, name, body, manager=MANAGER, force=True, dry_run=dry_run)
    return name


def _wait(project: Project, names: Sequence[str], timeout: float | None) -> list[dict[str, Any]]:
    from agentic_cli.interaction.following import Clock
    from agentic_cli.interaction.readiness import wait_ready

    clock = Clock.with_timeout(timeout)
    raws = []
    for name in names:
        raws.append(wait_ready(project, name, clock, terminal.note))
        terminal.say(f"{WORKFLOWS.singular}/{name} is ready")
    return raws


def _begin(target: Target, raws: Sequence[Mapping[str, Any]], pairs: tuple[str, ...]) -> int:
    """Start the session that was asked for, or tell how to start one."""
    from agentic_cli.commands.run import run
    from agentic_cli.inputs.forms import list_fields
    from agentic_cli.model.sessions import parse_workflow

    workflows = [parse_workflow(raw) for raw in raws]
    if pairs:
        options = {
            "namespace": target.namespace,
            "context": target.context,
            "kubeconfig": str(target.kubeconfig) if target.kubeconfig else None,
        }
        status = click.get_current_context().invoke(
            run, workflow=workflows[0].name, pairs=pairs, no_prompt=True, **options
        )
        return int(status)
    for workflow in workflows:
        fields = list_fields(workflow.input_schema)
        inputs = [f"-p {field.name}=…" for field in fields if field.is_required] or [
            f"-p {field.name}=…" for field in fields[:1]
        ]
        if [field.name for field in fields] == ["messages"]:
            inputs = ["-m hello"]
        place = ["-n", shlex.quote(target.namespace)] if target.namespace else []
        terminal.note(f"next: `{' '.join(['agentic', *place, 'run', workflow.name, *inputs, '--watch'])}`")
    return ExitStatus.COMPLETED
