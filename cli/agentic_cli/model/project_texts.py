"""Writes a project's resources as YAML that people read and edit: a definition a graph, and one session.

Pure. Comments say what may be added; what the API server would default is left out.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from agentic_core.names import API_VERSION

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]*")
# What YAML reads as something else than a text.
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def write_workflow(names: Mapping[str, str], image: str, *, working_dir: str = "", env_file: str = "") -> str:
    """Return the definitions; ``names`` has the name of each graph's definition."""
    return "---\n".join(_write_definition(name, graph, image, working_dir, env_file) for graph, name in names.items())


def write_session(workflow: str) -> str:
    """Return a session of a workflow, with inputs as comments: what a graph takes is known once it was inspected."""
    return f"""\
apiVersion: {API_VERSION}
kind: AgenticSession
metadata:
  name: {quote(f"{workflow}-1")}
spec:
  workflowRef:
    name: {quote(workflow)}
  # What the graph takes: `agentic workflows get {workflow}` lists it once the definition is ready. For example:
  # inputs:
  #   messages:
  #     - role: user
  #       content: hello
  # config:
  #   configurable:
  #     model: large
"""


def quote(text: str) -> str:
    """Return a text as YAML."""
    is_plain = _PLAIN.fullmatch(text) and not text.endswith(":") and text.lower() not in _WORDS
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _write_definition(name: str, graph: str, image: str, working_dir: str, env_file: str) -> str:
    secret = f"{name}-env"
    lines = [
        f"apiVersion: {API_VERSION}",
        "kind: WorkflowDefinition",
        "metadata:",
        f"  name: {quote(name)}",
        "spec:",
        f"  image: {quote(image)}",
        f"  graph: {quote(graph)}",
    ]
    if working_dir:
        lines += ["  podTemplate:", f"    workingDir: {quote(working_dir)}"]
    source = f"`kubectl create secret generic {secret} --from-env-file={env_file or '.env'}`"
    lines += [
        f"  # Keys of models and other variables, from a Secret: {source}",
        "  # envFrom:",
        f"  #   - secretRef: {{name: {secret}}}",
        "  # resources:",
        "  #   requests: {cpu: 100m, memory: 256Mi}",
        "",
    ]
    return "\n".join(lines)
