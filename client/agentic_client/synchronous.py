"""The client for programs without an event loop; the same methods as :mod:`agentic_client.asynchronous`."""

import random
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from os import PathLike
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

import httpx

from agentic_client import calls
from agentic_client.calls import Call, Page, Place, decide_retry
from agentic_client.connection import ConnectionState
from agentic_client.errors import GatewayError, UnexpectedAnswer, WaitTimeout, build_problem
from agentic_client.following import (
    Changed,
    Connect,
    Deliver,
    Fetch,
    Following,
    Pause,
    Receive,
    Received,
    Step,
    Waiting,
)
from agentic_client.messages import Message
from agentic_client.numbers import Numbers
from agentic_client.sessions import Session, Turn
from agentic_client.transport import (
    TokenAuth,
    TokenSource,
    build_request,
    build_ssl_context,
    build_stream_request,
    check_url,
    lower_names,
    translated,
)

T = TypeVar("T")


class Client:
    """A gateway and whoever calls it. Use as a context manager: it keeps connections.

    ``token`` is a text, or a function that returns the one of now; it is asked before each request, and once more
    if the gateway refuses the one it gave. ``ca_file`` (PEM) vouches for the gateway if the system's authorities
    do not. ``http`` is your own ``httpx.Client`` for anything else (proxies, client certificates); it stays open.

    Methods raise :class:`~agentic_client.GatewayError`. Where the gateway is away for a moment, what cannot act twice
    is sent again, ``attempts`` times in all.
    """

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource = None,
        namespace: str = "default",
        ca_file: str | PathLike[str] | None = None,
        http: httpx.Client | None = None,
        attempts: int = calls.ATTEMPTS,
    ) -> None:
        self._base = check_url(url)
        self._auth = TokenAuth(token)
        self._namespace = namespace
        self._attempts = attempts
        self._is_own = http is None
        self._jitter = random.SystemRandom().random
        self._http = http or httpx.Client(verify=build_ssl_context(ca_file))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._is_own:
            self._http.close()

    # -- sessions

    def start(
        self,
        workflow: str,
        inputs: Any = None,
        *,
        name: str | None = None,
        conversation: bool = False,
        cluster: bool = False,
        spec: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Start a session of ``workflow`` and return it.

        ``spec`` holds further fields of the resource's spec. A ``conversation`` takes turns instead of inputs.
        ``cluster`` means a ClusterWorkflowDefinition. Raises ``InvalidInput`` if the workflow's schema refuses the
        inputs; then nothing is created.
        """
        call = calls.start_session(
            namespace or self._namespace,
            workflow,
            calls.build_spec(inputs, spec, is_conversation=conversation),
            name=name,
            cluster=cluster,
            labels=labels,
            key=idempotency_key or uuid.uuid4().hex,
        )
        return self._request(call)

    def get(self, name: str, *, namespace: str | None = None) -> Session:
        """Return a session as it is now."""
        return self._request(calls.get_session(self._place(name, namespace)))

    def list(self, *, phase: str = "", label_selector: str = "", namespace: str | None = None) -> Iterator[Session]:
        """Yield the sessions of a namespace, page by page."""
        query = calls.build_list_query(phase, label_selector)
        call: Call[Page[Session]] | None = calls.list_sessions(namespace or self._namespace, query)
        while call is not None:
            page = self._request(call)
            yield from page.items
            call = page.following

    def answer(
        self,
        name: str,
        interrupt_id: str,
        value: Any,
        *,
        digest: str | None = None,
        namespace: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Answer a question and return the session.

        With ``digest`` (of the question that was shown), the answer is refused for any other question. Raises
        ``Conflict`` if it is answered already, ``InvalidInput`` if its schema refuses the value.
        """
        key = idempotency_key or uuid.uuid4().hex
        return self._request(
            calls.give_answer(self._place(name, namespace), interrupt_id, value, digest=digest, key=key)
        )

    def stop(self, name: str, *, namespace: str | None = None) -> Session:
        """End a session for good."""
        return self._request(calls.steer(self._place(name, namespace), "stop"))

    def suspend(self, name: str, *, namespace: str | None = None) -> Session:
        """Have a session hold no pod until it is resumed."""
        return self._request(calls.steer(self._place(name, namespace), "suspend"))

    def resume(self, name: str, *, namespace: str | None = None) -> Session:
        """Let a suspended session go on."""
        return self._request(calls.steer(self._place(name, namespace), "resume"))

    # -- conversations

    def add_turn(
        self,
        name: str,
        input: Any = None,  # noqa: A002  (the resource's own word)
        *,
        message: str | None = None,
        command: Mapping[str, Any] | None = None,
        turn: str | None = None,
        preempt: str | None = None,
        from_checkpoint: str | None = None,
        config: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        namespace: str | None = None,
        idempotency_key: str | None = None,
    ) -> Turn:
        """Add a turn to a conversation and return it; ``message`` is a text for a workflow of messages."""
        options = {"preempt": preempt, "fromCheckpoint": from_checkpoint, "config": config, "context": context}
        body = calls.build_turn(input, message, command, turn, options)
        key = idempotency_key or uuid.uuid4().hex
        return self._request(calls.add_turn(self._place(name, namespace), body, key=key))

    def turns(self, name: str, *, namespace: str | None = None) -> Iterator[Turn]:
        """Yield all turns of a conversation, oldest first."""
        call: Call[Page[Turn]] | None = calls.list_turns(self._place(name, namespace), 0)
        while call is not None:
            page = self._request(call)
            yield from page.items
            call = page.following

    def cancel(self, name: str, turn: str, *, namespace: str | None = None) -> Session:
        """Cancel a turn that runs or waits; the conversation goes on."""
        return self._request(calls.cancel_turn(self._place(name, namespace), turn))

    def close_conversation(self, name: str, *, namespace: str | None = None) -> Session:
        """End a conversation once no turn is left."""
        return self._request(calls.steer(self._place(name, namespace), "close"))

    # -- following

    def stream(
        self,
        name: str,
        *,
        after: int = 0,
        on_state: Callable[[ConnectionState], None] | None = None,
        namespace: str | None = None,
    ) -> "Stream":
        """Return a session's messages after number ``after``, and each new one until the session is final.

        A lost connection is made anew, as often as it takes, and no message is lost or comes twice; messages that are
        no longer kept are told by one with a ``gap``. Iterate over it, best within ``with``.
        """
        return Stream(self._run, Following(self._place(name, namespace), after, self._jitter), after, on_state)

    def events(self, name: str, *, after: int = 0, namespace: str | None = None) -> tuple[Message, ...]:
        """Return a page of the messages after number ``after`` that there are by now; empty if there is none."""
        return self._request(calls.list_events(self._place(name, namespace), after))

    def wait(
        self,
        name: str,
        *,
        until: Callable[[Session], bool] = lambda _: False,
        timeout: float | None = None,
        namespace: str | None = None,
    ) -> Session:
        """Return the session once it is final, or as soon as ``until`` holds; raises ``WaitTimeout``.

        The time is looked at with each sign of life of the gateway, which comes every five seconds.

        ``until=lambda session: session.is_waiting`` waits for a question.
        """
        waiting = Waiting(self._place(name, namespace), until, self._jitter)
        try:
            return self._finish(waiting.steps(), None if timeout is None else time.monotonic() + timeout)
        except _TimeIsOver as error:
            raise WaitTimeout(f"session {name!r} did not come so far within {timeout} s; it goes on") from error

    def wait_turn(
        self,
        name: str,
        turn: str,
        *,
        timeout: float | None = None,
        namespace: str | None = None,
    ) -> Turn:
        """Return a turn of a conversation once it is over, or the session is final; raises ``WaitTimeout``."""

        session = self.wait(
            name, until=lambda found: calls.is_turn_over(found, turn), timeout=timeout, namespace=namespace
        )
        return calls.find_turn(session, turn)

    # -- results

    def result(
        self,
        name: str,
        *,
        turn: int | None = None,
        numbers: Numbers = Numbers.PYTHON,
        namespace: str | None = None,
    ) -> Any:
        """Return the result of a session, or of a turn; raises ``Conflict`` if there is none (yet)."""
        return self._request(calls.get_result(self._place(name, namespace), turn, numbers))

    def save_result(self, name: str, file: BinaryIO, *, turn: int | None = None, namespace: str | None = None) -> int:
        """Write the result's JSON to a file as it comes, without holding it in memory; return its size in bytes."""
        call = calls.get_result(self._place(name, namespace), turn, Numbers.TEXT)
        size = 0
        with translated(self._base):
            request = build_request(self._http, self._base, call)
            response = self._http.send(request, auth=self._auth, stream=True, follow_redirects=True)
            try:
                self._require_success(response)
                for piece in response.iter_bytes():
                    size += file.write(piece)
            finally:
                response.close()
        return size

    # -- within

    def _place(self, name: str, namespace: str | None) -> Place:
        return Place(namespace or self._namespace, name)

    def _request(self, call: Call[T]) -> T:
        attempt = 1
        while True:
            try:
                return self._send(call)
            except GatewayError as error:
                pause = decide_retry(call, error, attempt, self._attempts, self._jitter())
                if pause is None:
                    raise
            time.sleep(pause)
            attempt += 1

    def _send(self, call: Call[T]) -> T:
        with translated(self._base):
            request = build_request(self._http, self._base, call)
            response = self._http.send(request, auth=self._auth, follow_redirects=call.follows)
        self._require_success(response)
        return call.parse(response.content)

    def _require_success(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise build_problem(response.status_code, lower_names(response.headers), response.read())

    def _finish(self, steps: Generator[Step, Any, T], deadline: float | None) -> T:
        """Carry out steps that deliver nothing, and return their value."""
        outcome: list[T] = []

        def keep() -> Generator[Step, Any, None]:
            outcome.append((yield from steps))

        for _ in self._run(keep(), lambda _: None, deadline):
            pass
        return outcome[0]

    def _run(
        self,
        steps: Generator[Step, Any, None],
        on_state: Callable[[ConnectionState], None],
        deadline: float | None = None,
    ) -> Generator[Message]:
        """Carry out steps, and yield the messages that they deliver."""
        response: httpx.Response | None = None
        pieces: Iterator[bytes] | None = None
        outcome: Any = None
        failure: GatewayError | None = None
        try:
            while True:
                try:
                    step = steps.send(outcome) if failure is None else steps.throw(failure)
                except StopIteration:
                    return
                outcome, failure = None, None
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise _TimeIsOver
                try:
                    match step:
                        case Deliver(message):
                            yield message
                        case Fetch(call):
                            outcome = self._send(call)
                        case Receive():
                            assert pieces is not None  # noqa: S101  (the steps connect first)
                            with translated(self._base):
                                outcome = Received(next(pieces, b""), time.monotonic())
                        case Connect(call):
                            if response is not None:
                                response.close()
                            response = self._open(call, left)
                            pieces = response.iter_bytes()
                        case Pause(seconds):
                            time.sleep(seconds if left is None else min(seconds, left))
                        case Changed(state):
                            on_state(state)
                except GatewayError as error:
                    failure = error
        finally:
            steps.close()
            if response is not None:
                response.close()

    def _open(self, call: Call[None], longest_silence: float | None) -> httpx.Response:
        with translated(self._base):
            request = build_stream_request(self._http, self._base, call, longest_silence)
            response = self._http.send(request, auth=self._auth, stream=True)
            if response.is_success and response.headers.get("content-type", "").startswith("text/event-stream"):
                return response
            try:
                self._require_success(response)
            finally:
                response.close()
        raise UnexpectedAnswer(f"{self._base} answered with no event stream: is that a gateway?")


class _TimeIsOver(Exception):
    """The deadline of a wait has passed."""


class Stream:
    """A session's messages as they come; see :meth:`Client.stream`."""

    def __init__(
        self,
        run: Callable[..., Generator[Message]],
        following: Following,
        after: int,
        on_state: Callable[[ConnectionState], None] | None,
    ) -> None:
        self.state = ConnectionState.CONNECTING
        """How the connection stands."""
        self.after = after
        """The number of the last message that was given; a later stream goes on from there."""
        self._on_state = on_state
        self._messages = run(following.steps(), self._note)

    def _note(self, state: ConnectionState) -> None:
        self.state = state
        if self._on_state is not None:
            self._on_state(state)

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        message = next(self._messages)
        self.after = self.after if message.seq is None else message.seq
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the stream; the session goes on."""
        self._messages.close()
        if self.state is not ConnectionState.CLOSED:
            self._note(ConnectionState.CLOSED)
