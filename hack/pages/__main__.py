"""``make test-docs``: runs pages of the guide in order, on the local cluster, in a namespace and a folder of their own.

Manifests are applied, files written, commands run, and what they print is compared with the page. The first
difference ends the run.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster.progress import Progress
from hack.images.builders import find_builder
from hack.kubectl import ROOT, Kubectl, KubectlError, local_kubeconfig
from hack.pages.blocks import Block, Command, count_left_out, read_blocks, read_commands, reads_like

PAGES: Final = ("README.md", "docs/installing.md", "docs/tutorial.md")
BOUND_SECONDS: Final = 600
# Builds by `agentic` get what this machine's builder needs: the certificates and indexes that it uses.
_AGENTIC: Final = """\
#!/bin/sh
case "${1:-}" in
    deploy|build) verb=$1; shift; exec "$PAGES_AGENTIC" "$verb" "$@" %s ;;
esac
exec "$PAGES_AGENTIC" "$@"
"""


class PageFailed(Exception):
    """A block does not do what its page says."""


@dataclass
class Reader:
    """Somebody who follows pages: a folder to work in, a shell, and where the last command left them."""

    folder: Path
    environment: dict[str, str]
    kubectl: Kubectl

    def follow(self, block: Block) -> None:
        """Do what a block says; raise ``PageFailed``."""
        match block.what:
            case "file":
                path = self._find_place() / block.value
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            case "manifest":
                try:
                    self.kubectl.run("apply", "--server-side", "-f", "-", stdin=block.text)
                except KubectlError as error:
                    raise PageFailed(f"{block.place}: {error}") from error
            case "commands":
                for command in read_commands(block):
                    self._run(block, command)
            case _:
                pass

    def _run(self, block: Block, command: Command) -> None:
        # Where a command leaves the shell is where the next one begins.
        state = self.folder / ".place"
        script = f"trap 'pwd > \"{state}\"' EXIT\n{command.text}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._find_place(),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=BOUND_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        told = f"{block.place}\n$ {command.text}\n{done.stdout}{done.stderr}"
        if done.returncode != command.status:
            raise PageFailed(f"{told}\nended with {done.returncode}, not {command.status}")
        if command.shown and not any(
            reads_like(text, command.shown) for text in (done.stdout, done.stdout + done.stderr)
        ):
            shown = "\n".join(command.shown)
            raise PageFailed(f"{told}\nis not what the page shows:\n{shown}")

    def _find_place(self) -> Path:
        state = self.folder / ".place"
        return Path(state.read_text(encoding="utf-8").strip()) if state.exists() else self.folder


def make_reader(folder: Path, namespace: str) -> Reader:
    """Return a reader with a kubeconfig whose namespace is theirs, and the programs that the pages name."""
    config = json.loads(Kubectl(local_kubeconfig()).run("config", "view", "--raw", "--flatten", "-o", "json"))
    current = config["current-context"]
    for context in config["contexts"]:
        if context["name"] == current:
            context["context"]["namespace"] = namespace
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(json.dumps(config), encoding="utf-8")
    # Beside its kubeconfig lies what images are loaded through, where the local cluster is one of this machine.
    (folder / "containerd").symlink_to(local_kubeconfig().parent / "containerd")
    kubectl = Kubectl(kubeconfig)
    programs = folder / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl.program)
    builder = find_builder(Progress())
    options = " ".join(f"--build-option={option}" for option in builder.find_options())
    (programs / "agentic").write_text(_AGENTIC % f"--builder {builder.name} {options}", encoding="utf-8")
    (programs / "agentic").chmod(0o755)
    place = folder / "reader"
    place.mkdir()
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(place),
        "KUBECONFIG": str(kubeconfig),
        "LC_ALL": "C.UTF-8",
        "BUILDAH_ISOLATION": "chroot",
        "PAGES_AGENTIC": str(Path(sys.executable).parent / "agentic"),
    }
    return Reader(place, environment, kubectl)


def run_pages(pages: Sequence[str]) -> list[Block]:
    """Follow the pages, each from a place of its own; return their blocks."""
    seen: list[Block] = []
    for page in pages:
        blocks = read_blocks(page, (ROOT / page).read_text(encoding="utf-8"))
        namespace = f"guide-{secrets.token_hex(3)}"
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            reader = make_reader(Path(folder), namespace)
            reader.kubectl.run("create", "namespace", namespace)
            try:
                for block in blocks:
                    reader.follow(block)
            finally:
                reader.kubectl.run("delete", "namespace", namespace, "--wait=false")
        run = sum(block.what in ("commands", "manifest", "file") for block in blocks)
        print(f"{page}: {run} blocks in {time.monotonic() - started:.0f} s")
        seen += blocks
    return seen


def main() -> int:
    """Follow the pages; one line for each, and a count of what was not run."""
    parser = argparse.ArgumentParser(prog="python -m hack.pages", description=__doc__)
    parser.add_argument("pages", nargs="*", default=PAGES, help=f"by default {', '.join(PAGES)}")
    try:
        blocks = run_pages(parser.parse_args().pages)
    except (PageFailed, KubectlError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    counted = count_left_out(blocks)
    print(f"{sum(counted.values())} blocks are not run:")
    for reason, number in counted.items():
        print(f"  {number}  {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
