"""Rules of the repository that no tool knows."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def committed_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listing.split("\0") if name]


def test_the_folder_operator_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_every_package_is_in_the_wheel_and_found_by_every_tool() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    packages = {path.parent.relative_to(ROOT) for path in ROOT.glob("*/agentic_*/__init__.py")}
    folders = {package.parts[0] for package in packages}
    wheel = project["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == {str(package) for package in packages}
    assert set(wheel["dev-mode-dirs"]) == folders
    assert set(project["mypy"]["mypy_path"].split(":")) == {*folders, "."}
    assert set(project["ruff"]["src"]) == {*folders, "."}
    assert set(project["coverage"]["run"]["source"]) == {*folders, "hack"}
    assert set(project["importlinter"]["root_packages"]) == {package.name for package in packages}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in ("SOURCES := ", "\t@$(BIN)/mypy "):
        found = re.search(rf"^{re.escape(line)}(.*)$", makefile, re.MULTILINE)
        assert found is not None
        assert folders <= set(found[1].split()), line


def test_the_client_loads_httpx_and_no_other_library() -> None:
    probe = (
        "import sys, httpx; known = {name.partition('.')[0] for name in sys.modules}; import agentic_client;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - known - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['agentic_client', 'agentic_core']"


def test_requirements_are_locked_by_hash_and_name_no_index() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text(encoding="utf-8")
        names = re.findall(r"^[a-z0-9][^\n]*==", text, re.MULTILINE)
        assert names
        assert len(re.findall(r"--hash=sha256:", text)) >= len(names), lock.name
        assert not re.search(r"index-url|find-links|https?://", text), lock.name


def test_every_make_target_that_a_person_types_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split())  # type: ignore[union-attr]  # it is there
    explained = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    assert phony == explained


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in committed_files()
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


NAMED_FILE = re.compile(
    r"`((?:core|store|operator|runner|gateway|client|cli|vault|hack|bench|tests|manifests|migrations|docs|examples|images)/[\w./-]+\.\w+)"
)


def test_every_file_that_a_page_names_is_there() -> None:
    pages = [page for page in committed_files() if page.suffix == ".md" and page.name != "CHANGELOG.md"]
    named = {(page, name) for page in pages for name in NAMED_FILE.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 100
    assert [f"{page.relative_to(ROOT)}: {name}" for page, name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_operator_decides_and_acts_by_the_api_servers_clock() -> None:
    """It reads its own for Kopf alone, which compares the end of a log-in with that; all else is given the time."""
    package = ROOT / "operator" / "agentic_operator"
    readings = re.compile(r"datetime\.(now|utcnow)\(|\btime\.time\(")
    found = [file.name for file in package.rglob("*.py") if readings.search(file.read_text(encoding="utf-8"))]
    assert found == ["watch.py"]


DECISIONS = ROOT / "docs" / "decisions"
NUMBER = re.compile(r"\bdecisions? (\d+)(?:(?:, | and )(\d+))*\b", re.IGNORECASE)


def read_text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):  # binary, or a link into a folder that is not built yet
        return ""


def test_every_decision_has_its_number_and_a_line_in_the_index() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    listed = {target: int(number) for number, target in re.findall(r"^\| (\d+) \| \[[^]]+\]\(([^)]+)\)", index, re.M)}
    files = {path.name: int(path.name[:4]) for path in DECISIONS.glob("[0-9]*.md")}
    assert listed == files, "docs/decisions/README.md: one line a decision, `| 5 | [title](0005-name.md) | one line |`"
    assert len(set(files.values())) == len(files), "a number is given to one decision"
    titles = {name: (DECISIONS / name).read_text(encoding="utf-8").partition("\n")[0] for name in files}
    assert [name for name in files if not titles[name].startswith(f"# {files[name]}. ")] == []


def test_every_decision_that_code_and_pages_name_exists() -> None:
    known = {int(path.name[:4]) for path in DECISIONS.glob("[0-9]*.md")}
    named = {
        (str(file.relative_to(ROOT)), int(number))
        for file in committed_files()
        for match in NUMBER.finditer(read_text_of(file))
        for number in re.findall(r"\d+", match.group())
    }
    assert len({number for file, number in named if file.endswith(".py")}) > 15
    assert [each for each in sorted(named) if each[1] not in known] == []
