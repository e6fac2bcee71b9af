"""``completion``: the script that makes a shell complete commands, options and names; and kubectl's way to ask."""

import sys
from typing import Final

import click
from click.shell_completion import ShellComplete, get_completion_class

from agentic_cli.main import COMPLETE_VARIABLE, agentic

# kubectl's (cobra's) directive: do not complete files if there are no names.
_NO_FILES: Final = 4


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      source <(agentic completion bash)                                    # for this shell
      agentic completion bash > ~/.local/share/bash-completion/completions/agentic
      agentic completion zsh > "${fpath[1]}/_agentic"
      agentic completion fish > ~/.config/fish/completions/agentic.fish

    \b
    `kubectl agentic` completes where kubectl's own completion is set up and `kubectl_complete-agentic`, which is
    installed beside this command, is on the PATH.
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101  (click has these three)
    click.echo(found(agentic, {}, "agentic", COMPLETE_VARIABLE).source())


def complete_for_kubectl() -> None:
    """Answer kubectl, which asks ``kubectl_complete-agentic WORD...`` with the word under the cursor last."""
    *words, incomplete = sys.argv[1:] or [""]
    items = ShellComplete(agentic, {}, "agentic", COMPLETE_VARIABLE).get_completions(words, incomplete)
    for item in items:
        click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(f":{_NO_FILES}")
