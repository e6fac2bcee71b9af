"""What service accounts may do, as the API server itself says it, against the list that is checked in."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.trust.roles import Client

Json = dict[str, Any]

FILE = Path(__file__).with_name("rights.txt")
HEADER = """\
# What every service account of an installation may do: `kubectl auth can-i --list`, place by place.
# A line is a resource, [names] where only objects of these names are meant, and verbs. Everybody's rights to ask about
# themselves are left out. UPDATE_RIGHTS=1 writes the sections anew.
"""
WHAT_TO_DO = """\
service accounts have other rights than tests/trust/rights.txt says.
A right that is new: is there no way without? Who takes over the account has it, in every namespace of the section.
  1. Say in manifests/operator/rbac.yaml, manifests/namespaced and manifests/gateway, above the rule, what it is for.
  2. Say in docs/operator.md (Rights) and, where a boundary moves, in docs/security.md what changes.
  3. `UPDATE_RIGHTS=1 pytest tests/trust/test_rights.py tests/trust/test_two_teams.py -k rights`, and commit the file.
A right that is gone: an operator of this version must do without it while the other is still there."""
NOTHING = "nothing"
# Every authenticated client has these: discovery, and asking about itself.
_FOR_ALL = ("selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")


def list_rights(client: Client, namespace: str) -> list[str]:
    """Return a line for each resource of which the client may do something in a namespace, sorted."""
    spec = {"spec": {"namespace": namespace}}
    answer = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", spec)
    assert answer.is_done, answer.message
    assert not answer.body["status"]["incomplete"]
    verbs: dict[str, set[str]] = {}
    for rule in answer.body["status"]["resourceRules"]:
        for group in rule.get("apiGroups") or [""]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames") or [""]:
                    if resource not in _FOR_ALL:
                        key = f"{resource}.{group}" if group else resource
                        verbs.setdefault(f"{key} [{name}]" if name else key, set()).update(rule["verbs"])
    return [f"{key}: {' '.join(sorted(found))}" for key, found in sorted(verbs.items())]


def compare(found: Mapping[str, list[str]]) -> None:
    """Fail where a section differs from the file; with UPDATE_RIGHTS, write it."""
    sections = _read()
    if os.environ.get("UPDATE_RIGHTS"):
        merged = sorted({**sections, **found}.items())
        parts = ["\n".join([f"## {title}", *(lines or [NOTHING])]) for title, lines in merged]
        FILE.write_text("\n\n".join([HEADER.strip(), *parts]) + "\n", encoding="utf-8")
        return
    differences = []
    for title, lines in found.items():
        listed = sections.get(title, [])
        differences += [f"{title}: new: {line}" for line in lines if line not in listed]
        differences += [f"{title}: gone: {line}" for line in listed if line not in lines]
    assert not differences, "\n".join([WHAT_TO_DO, *differences])
    assert found.keys() <= sections.keys(), WHAT_TO_DO


def _read() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    title = ""
    for line in FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else ():
        if line.startswith("## "):
            title = line.removeprefix("## ")
            sections[title] = []
        elif line and not line.startswith("#") and line != NOTHING:
            sections[title].append(line)
    return sections
