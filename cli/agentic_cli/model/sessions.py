"""A session and a workflow as this command sees them: the fields that it shows or decides by, parsed once.

These are views, not the resources of ``agentic_core``: reading those models takes longer than a whole ``agentic list``
may. What a newer operator adds is kept in ``raw`` and shown by ``-o json`` and ``-o yaml``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, WORKFLOWS, Kind
from agentic_core.approvals import find_rule
from agentic_core.digests import digest_question
from agentic_core.inboxes import find_refusal
from agentic_core.input_rules import InputRules, read_rules
from agentic_core.lifecycle import FINAL_PHASES, Phase

# An operator writes the first phase within a second or two.
UNTAKEN_SECONDS: Final = 15.0
UNTAKEN: Final = (
    "no operator has taken it up: is one running that serves namespace {namespace!r}?"
    " (kubectl get deployments -A -l app.kubernetes.io/name=agentic-operator)"
)
_FINAL: Final = frozenset(phase.value for phase in FINAL_PHASES)


@dataclass(frozen=True)
class Interrupt:
    """A question in ``status.interrupts``, with its answer in ``spec.responses`` if there is one."""

    id: str
    node: str = ""
    value: Any = None
    prompt: str = ""
    """The question's text, as the runner read it from the value; empty from older runners."""
    options: tuple[Mapping[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None
    asked_at: str = ""
    answered_at: str = ""
    answered_by: str = ""
    """Whose answer was accepted; empty if they did not state it."""
    responded_by: tuple[str, ...] = ()
    """Who answered in ``spec.responses``; empty names if they did not state it."""
    is_responded: bool = False
    """Whether ``spec.responses`` holds an answer that was taken or may still be."""
    is_refused: bool = False
    """Whether the answer in ``spec.responses`` was looked at and not taken."""
    approval: Mapping[str, Any] | None = None
    """Who has to answer, as the operator recorded it; None if anybody may, or before the record."""
    has_rule: bool = False
    """Whether somebody in particular has to answer."""

    @property
    def is_open(self) -> bool:
        return not self.answered_at

    @property
    def needs_several(self) -> bool:
        """Whether more than one person has to answer: others' answers keep nobody from giving theirs."""
        return self.approval is not None and int((self.approval.get("rule") or {}).get("count") or 1) > 1

    @property
    def digest(self) -> str:
        """The digest of the shown question, computed here from its parts."""
        return digest_question(self.prompt, self.value, self.options, self.schema)


@dataclass(frozen=True)
class Session:
    """An AgenticSession."""

    name: str
    namespace: str
    raw: Mapping[str, Any] = field(repr=False)
    uid: str = ""
    version: str = ""
    created_at: str = ""
    phase: str = Phase.PENDING.value
    reason: str = ""
    message: str = ""
    workflow: str = ""
    workflow_kind: str = WORKFLOWS.kind
    run: int = 0
    steps: int = 0
    node: str = ""
    progress: str = ""
    started_at: str = ""
    completed_at: str = ""
    interrupts: tuple[Interrupt, ...] = ()

    @property
    def is_final(self) -> bool:
        return self.phase in _FINAL

    @property
    def is_taken_up(self) -> bool:
        """Whether an operator has written a phase."""
        return bool(self.status.get("phase"))

    @property
    def is_waiting(self) -> bool:
        return self.phase == Phase.WAITING_FOR_INPUT

    @property
    def spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.raw.get("spec") or {}
        return spec

    @property
    def creator(self) -> str:
        """Who started it; empty if it does not say."""
        return str(self.spec.get("createdBy") or "")

    @property
    def asker(self) -> str:
        """Whose turn a conversation is at; empty if none is on or it does not say."""
        return str((self.status.get("turn") or {}).get("by") or "")

    @property
    def status(self) -> Mapping[str, Any]:
        status: Mapping[str, Any] = self.raw.get("status") or {}
        return status

    @property
    def open_interrupts(self) -> tuple[Interrupt, ...]:
        """The questions that nobody has answered yet."""
        return tuple(each for each in self.interrupts if each.is_open and (not each.is_responded or each.needs_several))


@dataclass(frozen=True)
class Workflow:
    """A WorkflowDefinition or ClusterWorkflowDefinition."""

    name: str
    namespace: str
    kind: Kind
    raw: Mapping[str, Any] = field(repr=False)
    rules: InputRules = field(default_factory=InputRules)
    nodes: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()

    @property
    def input_schema(self) -> Mapping[str, Any] | None:
        """What forms are made from: the author's schema, else the one derived from the graph."""
        return self.rules.form

    @property
    def spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.raw.get("spec") or {}
        return spec

    @property
    def status(self) -> Mapping[str, Any]:
        status: Mapping[str, Any] = self.raw.get("status") or {}
        return status

    def find_condition(self, name: str) -> Mapping[str, Any]:
        """Return the condition of this type; empty if there is none."""
        conditions = self.status.get("conditions") or ()
        return next((each for each in conditions if each.get("type") == name), {})


UNREADABLE: Final = "Unreadable"


def parse_session(raw: Mapping[str, Any]) -> Session:
    """Return the view of an AgenticSession as the API server gave it.

    An unreadable status, as an earlier version may have left it, is shown as such and does not affect others.
    """
    try:
        return _parse_session(raw)
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        metadata = raw.get("metadata") or {}
        message = f"its status cannot be read ({type(error).__name__}); -o yaml shows it as it is"
        return Session(
            name=str(metadata.get("name", "")),
            namespace=str(metadata.get("namespace", "")),
            raw=raw,
            phase=UNREADABLE,
            message=message,
        )


def _parse_session(raw: Mapping[str, Any]) -> Session:
    metadata, spec, status = raw.get("metadata") or {}, raw.get("spec") or {}, raw.get("status") or {}
    reference = spec.get("workflowRef") or {}
    responded = {each.get("interruptId") for each in spec.get("responses") or ()}
    refused = responded if find_refusal(status, metadata) is not None else set()
    # In the questions themselves an earlier version wrote names that their writers chose.
    authors: dict[str, list[str]] = {}
    for each in status.get("answers") or ():
        if each.get("by"):
            authors.setdefault(each.get("interruptId"), []).append(each["by"])
    approvals = {each.get("interruptId"): each for each in status.get("approvals") or ()}
    is_ruled = bool(((status.get("workflow") or {}).get("spec") or {}).get("approval"))
    return Session(
        name=metadata.get("name", ""),
        namespace=metadata.get("namespace", ""),
        raw=raw,
        uid=metadata.get("uid", ""),
        version=metadata.get("resourceVersion", ""),
        created_at=metadata.get("creationTimestamp", ""),
        phase=status.get("phase") or Phase.PENDING.value,
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        workflow=reference.get("name", ""),
        workflow_kind=reference.get("kind") or WORKFLOWS.kind,
        run=status.get("run") or 0,
        steps=status.get("steps") or 0,
        node=status.get("currentNode") or "",
        progress=status.get("progress") or "",
        started_at=status.get("startTime") or "",
        completed_at=status.get("completionTime") or "",
        interrupts=tuple(
            Interrupt(
                id=each["id"],
                node=each.get("node") or "",
                value=each.get("value"),
                prompt=each.get("prompt") or "",
                options=tuple(each.get("options") or ()),
                schema=each.get("schema"),
                asked_at=each.get("askedAt") or "",
                answered_at=each.get("answeredAt") or "",
                answered_by=", ".join(authors.get(each["id"], ())),
                responded_by=tuple(
                    given.get("by") or ""
                    for given in spec.get("responses") or ()
                    if given.get("interruptId") == each["id"]
                ),
                is_responded=each["id"] in responded - refused,
                is_refused=each["id"] in refused and not each.get("answeredAt"),
                approval=approvals.get(each["id"]),
                has_rule=is_ruled or each.get("approval") is not None or find_rule(each.get("value")) is not None,
            )
            for each in status.get("interrupts") or ()
        ),
    )


def parse_workflow(raw: Mapping[str, Any]) -> Workflow:
    """Return the view of a definition."""
    metadata, spec, status = raw.get("metadata") or {}, raw.get("spec") or {}, raw.get("status") or {}
    graph = status.get("graph") or {}
    return Workflow(
        name=metadata.get("name", ""),
        namespace=metadata.get("namespace", ""),
        kind=CLUSTER_WORKFLOWS if raw.get("kind") == CLUSTER_WORKFLOWS.kind else WORKFLOWS,
        raw=raw,
        rules=read_rules(spec.get("inputSchema"), status.get("inputSchema")),
        nodes=tuple(graph.get("nodes") or ()),
        edges=tuple(graph.get("edges") or ()),
    )


def parse_time(text: str) -> datetime | None:
    """Return the time of an API object's field; None if it is empty or invalid."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
