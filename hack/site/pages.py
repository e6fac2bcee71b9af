"""The pages of the site: the guide's own, with links that leave it made plain, an index, and the reference. Pure."""

import posixpath
import re
from collections.abc import Collection, Mapping
from typing import Final

# The tree of the index: a page is in one of these parts, and the index lists no other.
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Begin": ("README", "docs/tutorial", "docs/concepts"),
    "Install and operate": (
        "docs/installing",
        "docs/installing-examples",
        "docs/helm",
        "docs/operations",
        "docs/versions",
        "docs/troubleshooting",
        "docs/operator",
        "docs/hardening",
        "docs/clusters",
        "docs/local-cluster",
        "docs/vault",
        "docs/tenancy",
        "docs/security",
        "docs/encryption",
        "docs/database",
        "docs/migrations",
        "docs/release-files",
    ),
    "How to": (
        "docs/projects",
        "docs/human-input",
        "docs/conversations",
        "docs/input-schemas",
        "docs/config-and-context",
        "docs/time-travel",
        "docs/results",
        "docs/memory",
        "docs/gitops",
        "docs/cli",
        "docs/console",
        "docs/console-sessions",
        "docs/gateway",
        "docs/python-client",
        "docs/provable-answers",
    ),
    "Reference": (
        "docs/resources",
        "docs/reference/commands",
        "docs/reference/resources",
        "docs/reference/settings",
        "docs/reference/reasons",
        "docs/runner-contract",
        "docs/state-types",
    ),
    "Explanation": (
        "docs/architecture",
        "docs/faults",
        "docs/acceptance",
        "docs/private-seams",
        "docs/decisions/README",
        "CONTRIBUTING",
        "docs/releasing",
        "CHANGELOG",
        "SECURITY",
    ),
}
_LINK: Final = re.compile(r"(!?)\[((?:[^][]|\[[^]]*\])*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def build_index() -> str:
    """Return the first page, which lists all others."""
    trees = [
        f"```{{toctree}}\n:caption: {title}\n:maxdepth: 1\n\n" + "\n".join(pages) + "\n```\n"
        for title, pages in PARTS.items()
    ]
    return "# agentic-operator\n\nDurable LangGraph workflows on Kubernetes.\n\n" + "\n".join(trees)


def build_decisions(names: Collection[str]) -> str:
    """Return what hangs the decisions below their index."""
    return "\n```{toctree}\n:hidden:\n\n" + "\n".join(sorted(names)) + "\n```\n"


def adapt(page: str, text: str, known: Collection[str]) -> str:
    """Return a page whose links lead to pages and pictures of the site; what they name else is named in words.

    ``page`` and ``known`` are paths from the root of the repository.
    """

    def replace(found: re.Match[str]) -> str:
        target = found[3]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        return found[0] if path in known else f"{found[2]} (`{path}`)"

    # What stands in a block of code is no link.
    parts = re.split(r"(^ *```.*?^ *```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if at % 2 else _LINK.sub(replace, part) for at, part in enumerate(parts))


def find_unlisted(pages: Collection[str]) -> set[str]:
    """Return the pages that no part of the index lists."""
    listed = {f"{name}.md" for names in PARTS.values() for name in names}
    return {page for page in pages if page not in listed and not page.startswith("docs/decisions/0")}
