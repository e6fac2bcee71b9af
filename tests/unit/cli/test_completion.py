"""Completing on the command line, as far as no cluster is needed."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from agentic_cli.main import COMMANDS, COMPLETE_VARIABLE, agentic
from tests.support.commands import clean_environment, run_agentic


def complete(*words: str) -> list[str]:
    *before, incomplete = words
    items = ShellComplete(agentic, {}, "agentic", COMPLETE_VARIABLE).get_completions(before, incomplete)
    return [item.value for item in items]


def test_commands_and_options_are_completed() -> None:
    assert complete("") == list(COMMANDS)
    assert complete("re") == ["respond", "result", "resume", "retry"]
    assert complete("workflows", "") == ["get", "list"]
    assert complete("list", "--ph") == ["--phase"]
    assert "WaitingForInput" in complete("list", "--phase", "")


def test_contexts_of_the_kubeconfig_are_completed(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text('{"contexts": [{"name": "dev"}, {"name": "prod"}]}', encoding="utf-8")
    assert complete("list", "--kubeconfig", str(file), "--context", "") == ["dev", "prod"]
    assert complete("list", "--kubeconfig", str(file), "--context", "p") == ["prod"]


def test_without_a_cluster_nothing_is_completed_and_nothing_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config"
    file.write_text("{not: [", encoding="utf-8")
    for word in ("get", "workflows get", "run", "respond s"):
        assert complete(*word.split(), "--kubeconfig", str(file), "") == []
    assert complete("list", "--kubeconfig", str(file), "--context", "") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str) -> None:
    done = run_agentic("completion", shell, env=clean_environment())
    assert done.returncode == 0
    assert f"{COMPLETE_VARIABLE}={shell}_complete" in done.stdout


def test_the_script_of_bash_completes() -> None:
    program = Path(sys.executable).with_name("agentic")
    script = (
        f'eval "$({program} completion bash)"; COMP_WORDS=(agentic work); COMP_CWORD=1;'
        f" _agentic_completion {program}; echo ${{COMPREPLY[@]}}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=clean_environment())
    assert done.stdout.split() == ["workflows"]


def test_kubectl_is_answered_in_its_own_form() -> None:
    program = Path(sys.executable).with_name("kubectl_complete-agentic")
    done = subprocess.run([program, "res"], capture_output=True, text=True, check=True, env=clean_environment())
    lines = done.stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["respond", "result", "resume", ":4"]
