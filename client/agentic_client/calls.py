"""The requests of the gateway's interface: how each is built, and how its answer is read. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from agentic_client.connection import compute_pause
from agentic_client.errors import NotFound, ServerFault, TooManyRequests, Unavailable, UnexpectedAnswer, Unreachable
from agentic_client.messages import Message, read_message
from agentic_client.numbers import Numbers, parse_json
from agentic_client.sessions import Session, Turn, read_session, read_turn

T = TypeVar("T")

# How often a request is sent, the first time included, before its error is raised.
ATTEMPTS: Final = 4
PAGE: Final = 200


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    parse: Callable[[bytes], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    key: str = ""
    """Sent as ``Idempotency-Key``: the gateway serves a request once, and answers it each time as the first."""

    follows: bool = False
    """Whether a redirect is followed: a large result is in an object store. The token does not go there."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of this call alone."""
        found = {"Accept": "application/json"}
        if self.body is not None:
            found["Content-Type"] = "application/merge-patch+json" if self.method == "PATCH" else "application/json"
        if self.key:
            found["Idempotency-Key"] = self.key
        return found

    @property
    def acts_once(self) -> bool:
        """Whether it can be sent again without acting again."""
        return self.method == "GET" or self.key != ""

    @property
    def content(self) -> bytes | None:
        """The body as it is sent; raises ``ValueError`` for what is no JSON."""
        return None if self.body is None else json.dumps(self.body, ensure_ascii=False, allow_nan=False).encode()


def decide_retry(call: Call[Any], error: Exception, attempt: int, attempts: int, jitter: float) -> float | None:
    """Return the pause before the same request is sent again, in seconds; None if its error is raised.

    What was certainly not carried out is repeated for any request, anything else only for one that cannot act twice.
    ``attempt`` counts from 1.
    """
    if attempt >= attempts:
        return None
    match error:
        case TooManyRequests():
            is_safe = True
        case Unreachable():
            is_safe = not error.is_sent or call.acts_once
        case Unavailable() | ServerFault():
            is_safe = call.acts_once
        case _:
            is_safe = False
    return compute_pause(attempt, jitter, getattr(error, "retry_after_seconds", None)) if is_safe else None


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list; ``following`` asks for the next one, None at the end."""

    items: tuple[T, ...]
    following: Call["Page[T]"] | None


@dataclass(frozen=True)
class Place:
    """A session's address in the interface."""

    namespace: str
    name: str

    def path(self, *parts: str) -> str:
        """Return the path of the session, or of something of it."""
        return build_path("agentic-sessions", self.namespace, self.name, *parts)


def build_path(*parts: str) -> str:
    """Return a path of the interface; raises ``ValueError`` for a part that is empty or would lead elsewhere."""
    for part in parts:
        if not part or part in (".", ".."):
            raise ValueError(f"{part!r} is no name")
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


def build_spec(inputs: Any, spec: Mapping[str, Any] | None, *, is_conversation: bool) -> dict[str, Any]:
    """Return the spec of a new session without its workflow."""
    mode = {"mode": "Conversation"} if is_conversation else {}
    return {**(spec or {}), **mode, **({"inputs": inputs} if inputs is not None else {})}


def build_list_query(phase: str, label_selector: str) -> dict[str, str]:
    """Return the query of a list."""
    given = {"phase": phase, "labelSelector": label_selector, "limit": str(PAGE)}
    return {key: value for key, value in given.items() if value}


def start_session(
    namespace: str, workflow: str, spec: Mapping[str, Any], *, name: str | None, cluster: bool, labels: Any, key: str
) -> Call[Session]:
    """Return the request that creates a session."""
    reference = {"name": workflow, "kind": "ClusterWorkflowDefinition" if cluster else "WorkflowDefinition"}
    metadata = {**({"name": name} if name else {}), **({"labels": dict(labels)} if labels else {})}
    body = {"metadata": metadata, "spec": {"workflowRef": reference, **spec}}
    return Call("POST", build_path("agentic-sessions", namespace), _read_session, body=body, key=key)


def get_session(place: Place) -> Call[Session]:
    """Return the request for a session."""
    return Call("GET", place.path(), _read_session)


def list_sessions(namespace: str, query: Mapping[str, str]) -> Call[Page[Session]]:
    """Return the request for a page of sessions."""

    def parse(body: bytes) -> Page[Session]:
        found = _read_object(body)
        token = str(found.get("metadata", {}).get("continue") or "")
        following = list_sessions(namespace, {**query, "continue": token}) if token else None
        return Page(tuple(read_session(each) for each in found.get("items") or ()), following)

    return Call("GET", build_path("agentic-sessions", namespace), parse, query)


def list_events(place: Place, after: int) -> Call[tuple[Message, ...]]:
    """Return the request for the messages after a number."""

    def parse(body: bytes) -> tuple[Message, ...]:
        try:
            return tuple(read_message(each) for each in _read_object(body).get("items") or ())
        except ValueError as error:
            raise UnexpectedAnswer(f"the events hold what is no message: {error}") from error

    return Call("GET", place.path("events"), parse, {"after": str(after), "limit": str(PAGE)})


def open_stream(place: Place, after: int) -> Call[None]:
    """Return the request for the messages after a number and all that follow, as Server-Sent Events."""
    return Call("GET", place.path("stream"), lambda _: None, {"after": str(after)})


def give_answer(place: Place, interrupt_id: str, value: Any, *, digest: str | None, key: str) -> Call[Session]:
    """Return the request that answers a question."""
    body = {"interruptId": interrupt_id, "value": value, **({"digest": digest} if digest else {})}
    return Call("POST", place.path("responses"), _read_session, body=body, key=key)


def build_turn(
    input_: Any,
    message: str | None,
    command: Mapping[str, Any] | None,
    name: str | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a turn as the gateway takes it; ``message`` is a text for a workflow of messages.

    Raises ``ValueError`` unless it has exactly one of input, message and command.
    """
    given = {
        "input": {"messages": [{"role": "user", "content": message}]} if message is not None else input_,
        "command": dict(command) if command is not None else None,
    }
    found = {key: value for key, value in given.items() if value is not None}
    if len(found) != 1 or (message is not None and input_ is not None):
        raise ValueError("a turn has one of input, message and command")
    extras = {key: value for key, value in options.items() if value is not None}
    return {**({"name": name} if name else {}), **found, **extras}


def add_turn(place: Place, turn: Mapping[str, Any], *, key: str) -> Call[Turn]:
    """Return the request that adds a turn to a conversation."""
    return Call("POST", place.path("turns"), lambda body: read_turn(_read_object(body)), body=dict(turn), key=key)


def list_turns(place: Place, after: int) -> Call[Page[Turn]]:
    """Return the request for a page of a conversation's turns."""

    def parse(body: bytes) -> Page[Turn]:
        found = _read_object(body)
        items = tuple(read_turn(each) for each in found.get("items") or ())
        last = found.get("last")
        following = list_turns(place, last) if len(items) == PAGE and isinstance(last, int) else None
        return Page(items, following)

    return Call("GET", place.path("turns"), parse, {"after": str(after), "limit": str(PAGE)})


def is_turn_over(session: Session, name: str) -> bool:
    """Return whether a turn has ended; one that the session no longer shows ended long ago."""
    return all(each.is_over for each in session.turns if each.name == name)


def find_turn(session: Session, name: str) -> Turn:
    """Return a turn as the session shows it; raises ``NotFound`` if it does not (any more)."""
    found = next((each for each in session.turns if each.name == name), None)
    if found is None:
        raise NotFound(404, f"session {session.name!r} does not show a turn {name!r}: list them with turns()")
    return found


def cancel_turn(place: Place, turn: str) -> Call[Session]:
    """Return the request that cancels a turn."""
    return Call("POST", place.path("turns", turn, "cancel"), _read_session)


def steer(place: Place, verb: str) -> Call[Session]:
    """Return the request that stops, suspends, resumes or closes a session."""
    return Call("POST", place.path(verb), _read_session)


def get_result(place: Place, turn: int | None, numbers: Numbers) -> Call[Any]:
    """Return the request for a result."""

    def parse(body: bytes) -> Any:
        try:
            return parse_json(body, numbers)
        except ValueError as error:
            raise UnexpectedAnswer(f"the result is no JSON: {error}") from error

    return Call("GET", place.path("result"), parse, {} if turn is None else {"turn": str(turn)}, follows=True)


def _read_session(body: bytes) -> Session:
    return read_session(_read_object(body))


def _read_object(body: bytes) -> Mapping[str, Any]:
    try:
        found = parse_json(body)
    except ValueError as error:
        raise UnexpectedAnswer(f"the answer is no JSON: is that a gateway? ({error})") from error
    if not isinstance(found, Mapping):
        raise UnexpectedAnswer("the answer is no object: is that a gateway?")
    return found
