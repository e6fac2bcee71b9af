"""Sessions, their questions and their turns, as far as programs ask for them; ``raw`` holds all that there is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentic_core.lifecycle import FINAL_PHASES, Phase

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """A question that waits for an answer."""

    id: str
    prompt: str
    value: Any
    schema: Any
    options: tuple[Any, ...]
    digest: str
    """SHA-256 of the question, if its rule is recorded: an answer that carries it is for no other question."""


@dataclass(frozen=True)
class Turn:
    """A turn of a conversation."""

    name: str
    phase: str
    number: int | None = None
    by: str = ""
    raw: Json = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.phase not in ("Pending", "Running")


@dataclass(frozen=True)
class Session:
    """A session as it was read."""

    name: str
    namespace: str
    uid: str
    phase: str
    reason: str
    message: str
    raw: Json

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in FINAL_PHASES

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for an answer."""
        return self.phase == Phase.WAITING_FOR_INPUT

    @property
    def is_idle(self) -> bool:
        """Whether it is a conversation between two turns."""
        return self.phase == Phase.IDLE

    @property
    def status(self) -> Json:
        """Its status as Kubernetes has it."""
        return _mapping(self.raw.get("status"))

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions that are open."""
        asked, rules = self.status.get("interrupts") or (), self.status.get("approvals") or ()
        digests = {each.get("interruptId"): str(each.get("digest") or "") for each in rules}
        return tuple(
            _read_question(each, digests.get(each.get("id"), "")) for each in asked if not each.get("answeredAt")
        )

    @property
    def turns(self) -> tuple["Turn", ...]:
        """The newest turns of a conversation: those that began, then those that wait."""
        begun = tuple(read_turn(each) for each in self.status.get("turns") or ())
        names = {each.name for each in begun}
        waiting = (read_turn(each) for each in _mapping(self.raw.get("spec")).get("turns") or ())
        return begun + tuple(each for each in waiting if each.name not in names)

    @property
    def last_seq(self) -> int:
        """The number of the last message that the status knows of; 0 if it knows none."""
        found = self.status.get("lastSeq")
        return found if isinstance(found, int) else 0


def _read_question(found: Json, digest: str) -> Question:
    return Question(
        id=str(found.get("id") or ""),
        prompt=str(found.get("prompt") or ""),
        value=found.get("value"),
        schema=found.get("schema"),
        options=tuple(found.get("options") or ()),
        digest=digest,
    )


def read_session(found: Json) -> Session:
    """Return the session that a custom resource is."""
    metadata, status = _mapping(found.get("metadata")), _mapping(found.get("status"))
    return Session(
        name=str(metadata.get("name") or ""),
        namespace=str(metadata.get("namespace") or ""),
        uid=str(metadata.get("uid") or ""),
        phase=str(status.get("phase") or Phase.PENDING),
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
        raw=found,
    )


def read_turn(found: Json) -> Turn:
    """Return a turn as the gateway lists it, or as it was added."""
    number = found.get("number")
    return Turn(
        name=str(found.get("name") or ""),
        phase=str(found.get("phase") or Phase.PENDING),
        number=number if isinstance(number, int) else None,
        by=str(found.get("by") or ""),
        raw=found,
    )


def _mapping(found: object) -> Json:
    return found if isinstance(found, Mapping) else {}
