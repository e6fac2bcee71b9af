"""Where a project's modules are imported from: what ``pip install -e`` of its dependencies would make importable.

An image may hold a project that nobody installed, only copied. The folders are found as the LangGraph CLI finds them,
and as the build backends of the project's packages would: flat, below ``src``, or where ``pyproject.toml`` says.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentic_core.errors import GraphLoadError


def find_import_folders(root: Path, dependencies: Sequence[str], settings: Mapping[str, Any]) -> list[Path]:
    """Return the folders to import from: the project's own, then those of its local dependencies, each once.

    Raise :class:`GraphLoadError` for a local dependency that is not there.
    """
    folders = [root]
    for dependency in dependencies:
        folder = root / dependency
        if folder.is_dir():
            folders += _find_importable(folder.resolve())
        elif dependency.startswith("."):
            raise GraphLoadError(
                f"dependency {dependency!r} of langgraph.json is no folder of the image ({str(folder)!r}): copy it"
            )
    folders += _find_workspace(root, settings.get("source"))
    return list(dict.fromkeys(folders))


def _find_importable(folder: Path) -> Iterator[Path]:
    if (folder / "pyproject.toml").is_file() or (folder / "setup.py").is_file():
        yield from _find_package_roots(folder)
    elif (folder / "__init__.py").is_file():
        # A package by itself: imported by its own name.
        yield folder.parent
    yield folder


def _find_package_roots(folder: Path) -> Iterator[Path]:
    for relative in ("src", *_read_roots(_read_pyproject(folder).get("tool", {}))):
        path = (folder / relative).resolve()
        if path.is_dir():
            yield path


def _read_pyproject(folder: Path) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return {}
    import tomllib  # most images need none of it

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GraphLoadError(f"{str(file)!r} cannot be read: {error}") from error


def _read_roots(tool: Mapping[str, Any]) -> Iterator[str]:
    """Return the folders that the settings of build backends name, relative to the package's own."""
    for name, folder in _mapping(tool, "setuptools", "package-dir").items():
        # `{"agent": "lib/agent"}`: imported from where its first name lies.
        depth = len(name.split(".")) if name else 0
        yield "/".join([str(folder), *[".."] * depth])
    yield from _texts(_mapping(tool, "setuptools", "packages", "find").get("where"))
    wheel = _mapping(tool, "hatch", "build", "targets", "wheel")
    for package in _texts(wheel.get("packages")):
        yield f"{package}/.."
    yield from _texts(wheel.get("sources"))
    for entry in _mapping(tool, "poetry").get("packages") or ():
        if isinstance(entry, Mapping):
            yield str(entry.get("from") or ".")
    yield from _texts(_mapping(tool, "pdm", "build").get("package-dir"))
    yield from _texts(_mapping(tool, "uv", "build-backend").get("module-root"))


def _mapping(value: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> Iterator[str]:
    for each in (value,) if isinstance(value, str) else value or ():
        if isinstance(each, str):
            yield each


def _find_workspace(root: Path, source: Any) -> Iterator[Path]:
    """Return the folders of a uv project (`"source": {"kind": "uv", "root": ".."}`) and of its workspace's members."""
    if not isinstance(source, Mapping) or source.get("kind") != "uv":
        return
    top = (root / str(source.get("root") or ".")).resolve()
    if not top.is_dir():
        raise GraphLoadError(f"source.root of langgraph.json is no folder of the image ({str(top)!r}): copy it")
    members = _texts(_mapping(_read_pyproject(top), "tool", "uv", "workspace").get("members"))
    yield from _find_importable(top)
    for pattern in members:
        for folder in sorted(top.glob(pattern)):
            if (folder / "pyproject.toml").is_file():
                yield from _find_importable(folder.resolve())
