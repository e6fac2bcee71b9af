"""``init``, ``build``: what a project needs on a cluster, beside its ``langgraph.json``; and its image."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from agentic_cli.commands.options import target_options
from agentic_cli.interaction.target import Target
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.image_builders import BUILDERS, explain_no_load
from agentic_cli.output import terminal
from agentic_core.errors import PermanentError

F = TypeVar("F", bound=Callable[..., Any])

folder_argument: Final = click.argument(
    "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), metavar="[FOLDER]"
)
base_option: Final = click.option(
    "--base",
    metavar="IMAGE",
    help="The runner's image. [default: agentic-operator/runner of this version, from $AGENTIC_IMAGE_REGISTRY if set]",
)
image_option: Final = click.option("-t", "--tag", "image", metavar="IMAGE", help="Name of the image.")
name_option: Final = click.option(
    "--name", metavar="NAME", help="Name of the definition, or how several begin. [default: the graph's]"
)


def builder_options(command: F) -> F:
    """Give a command the options that say how images are built."""
    with_options: Any = command
    for option in (
        click.option(
            "--build-option",
            "build_options",
            metavar="OPTION",
            multiple=True,
            help="Passed to the builder, such as --build-option=--network=host; may be repeated.",
        ),
        click.option("--builder", type=click.Choice(BUILDERS), help="Which builder. [default: the first that answers]"),
    ):
        with_options = option(with_options)
    decorated: F = with_options
    return decorated


@click.command()
@folder_argument
@base_option
@image_option
@name_option
@click.option("--force", is_flag=True, help="Write files that are there anew.")
def init(folder: Path, base: str | None, image: str | None, name: str | None, force: bool) -> None:
    """Write what a LangGraph project needs on a cluster.

    Beside the langgraph.json of FOLDER (by default the current one): a Containerfile, a .containerignore, and in
    kubernetes/ a WorkflowDefinition for each graph and a session to start from. They are yours to edit.

    \b
    Examples:
      agentic init
      agentic init projects/weather -t registry.example.com/team/weather
      agentic init --base registry.example.com/agentic-operator/runner:1.0
    """
    from agentic_cli.interaction.project_files import write_files
    from agentic_cli.interaction.project_folder import read_folder

    write_and_tell(functools.partial(write_files, read_folder(folder), base=base, image=image, name=name, force=force))
    place = "" if folder == Path() else f" {click.format_filename(folder)}"
    terminal.note(f"next: `agentic deploy{place}`, or `agentic build{place}` for the image alone")


def write_and_tell(write: Callable[[], Any]) -> None:
    """Write a project's files and tell which."""
    written = write()
    for file in written.files:
        terminal.say(f"wrote {show_path(file)}")
    for file in written.kept:
        terminal.note(f"left {show_path(file)} as it is: --force writes it anew")
    for note in written.notes:
        terminal.note(note)


def show_path(file: Path) -> str:
    """Return a path as short as it can be."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


@click.command()
@folder_argument
@image_option
@base_option
@builder_options
@click.option("--push", is_flag=True, help="Push the image to its registry.")
@click.option("--load", is_flag=True, help="Load the image into the cluster on this machine that the context names.")
@target_options
def build(
    target: Target,
    folder: Path,
    image: str | None,
    base: str | None,
    builder: str | None,
    build_options: tuple[str, ...],
    push: bool,
    load: bool,
) -> int:
    """Build the image of a LangGraph project.

    Takes the Containerfile of FOLDER or, if there is none, what `agentic init` would write. Docker, podman and
    buildah are tried in this order. The image's name is printed when it is built.

    \b
    Examples:
      agentic build -t registry.example.com/team/weather:3 --push
      agentic build projects/weather --load
      agentic build --builder podman --build-option=--network=host
    """
    from agentic_cli.interaction.image_builds import build_image, can_load, find_builder, load_image, push_image
    from agentic_cli.interaction.project_files import choose_image, read_containerfile
    from agentic_cli.interaction.project_folder import read_folder

    project = read_folder(folder)
    name = str(choose_image(project, image))
    context, socket = find_loading(target) if load else ("", None)
    if load and not can_load(context, socket):
        raise PermanentError(explain_no_load(context, name))
    containerfile = read_containerfile(project, base)
    chosen = find_builder(builder)
    terminal.note(f"building {name} with {chosen}")
    build_image(project, containerfile, name, chosen, build_options)
    if push:
        push_image(chosen, name)
    if load:
        load_image(chosen, name, context, socket)
    terminal.say(name)
    return ExitStatus.COMPLETED


def find_loading(target: Target) -> tuple[str, Path | None]:
    """Return the context that images would be loaded for, and the socket of a local cluster."""
    import os

    from agentic_cli.interaction.image_builds import find_socket
    from agentic_cli.kube.kubeconfig import find_connection, find_files

    connection = find_connection(os.environ, kubeconfig=target.kubeconfig, context=target.context)
    return connection.context, find_socket(find_files(os.environ, target.kubeconfig))
