"""The client for programs with an event loop."""

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
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


class AsyncClient:
    """A gateway and whoever calls it. Use as a context manager: it keeps connections.

    ``token`` is a text, or a function that returns the one of now; it is asked before each request, and once more
    if the gateway refuses the one it gave. ``ca_file`` (PEM) vouches for the gateway if the system's authorities
    do not. ``http`` is your own ``httpx.AsyncClient`` for anything else (proxies, client certificates); it stays open.

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
        http: httpx.AsyncClient | None = None,
        attempts: int = calls.ATTEMPTS,
    ) -> None:
        self._base = check_url(url)
        self._auth = TokenAuth(token)
        self._namespace = namespace
        self._attempts = attempts
        self._is_own = http is None
        self._jitter = random.SystemRandom().random
        self._http = http or httpx.AsyncClient(verify=build_ssl_context(ca_file))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._is_own:
            await self._http.aclose()

    # -- sessions

    async def start(
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
        return await self._request(call)

    async def get(self, name: str, *, namespace: str | None = None) -> Session:
        """Return a session as it is now."""
        return await self._request(calls.get_session(self._place(name, namespace)))

    async def list(
        self, *, phase: str = "", label_selector: str = "", namespace: str | None = None
    ) -> AsyncIterator[Session]:
        """Yield the sessions of a namespace, page by page."""
        query = calls.build_list_query(phase, label_selector)
        call: Call[Page[Session]] | None = calls.list_sessions(namespace or self._namespace, query)
        while call is not None:
            page = await self._request(call)
            for session in page.items:
                yield session
            call = page.following

    async def answer(
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
        return await self._request(
            calls.give_answer(self._place(name, namespace), interrupt_id, value, digest=digest, key=key)
        )

    async def stop(self, name: str, *, namespace: str | None = None) -> Session:
        """End a session for good."""
        return await self._request(calls.steer(self._place(name, namespace), "stop"))

    async def suspend(self, name: str, *, namespace: str | None = None) -> Session:
        """Have a session hold no pod until it is resumed."""
        return await self._request(calls.steer(self._place(name, namespace), "suspend"))

    async def resume(self, name: str, *, namespace: str | None = None) -> Session:
        """Let a suspended session go on."""
        return await self._request(calls.steer(self._place(name, namespace), "resume"))

    # -- conversations

    async def add_turn(
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
        return await self._request(calls.add_turn(self._place(name, namespace), body, key=key))

    async def turns(self, name: str, *, namespace: str | None = None) -> AsyncIterator[Turn]:
        """Yield all turns of a conversation, oldest first."""
        call: Call[Page[Turn]] | None = calls.list_turns(self._place(name, namespace), 0)
        while call is not None:
            page = await self._request(call)
            for turn in page.items:
                yield turn
            call = page.following

    async def cancel(self, name: str, turn: str, *, namespace: str | None = None) -> Session:
        """Cancel a turn that runs or waits; the conversation goes on."""
        return await self._request(calls.cancel_turn(self._place(name, namespace), turn))

    async def close_conversation(self, name: str, *, namespace: str | None = None) -> Session:
        """End a conversation once no turn is left."""
        return await self._request(calls.steer(self._place(name, namespace), "close"))

    # -- following

    def stream(
        self,
        name: str,
        *,
        after: int = 0,
        on_state: Callable[[ConnectionState], None] | None = None,
        namespace: str | None = None,
    ) -> "AsyncStream":
        """Return a session's messages after number ``after``, and each new one until the session is final.

        A lost connection is made anew, as often as it takes, and no message is lost or comes twice; messages that are
        no longer kept are told by one with a ``gap``. Iterate over it, best within ``async with``.
        """
        return AsyncStream(self._run, Following(self._place(name, namespace), after, self._jitter), after, on_state)

    async def events(self, name: str, *, after: int = 0, namespace: str | None = None) -> tuple[Message, ...]:
        """Return a page of the messages after number ``after`` that there are by now; empty if there is none."""
        return await self._request(calls.list_events(self._place(name, namespace), after))

    async def wait(
        self,
        name: str,
        *,
        until: Callable[[Session], bool] = lambda _: False,
        timeout: float | None = None,  # noqa: ASYNC109  (a limit of ours, with an error of ours)
        namespace: str | None = None,
    ) -> Session:
        """Return the session once it is final, or as soon as ``until`` holds; raises ``WaitTimeout``.

        ``until=lambda session: session.is_waiting`` waits for a question.
        """
        waiting = Waiting(self._place(name, namespace), until, self._jitter)
        try:
            async with asyncio.timeout(timeout):
                return await self._finish(waiting.steps())
        except TimeoutError as error:
            raise WaitTimeout(f"session {name!r} did not come so far within {timeout} s; it goes on") from error

    async def wait_turn(
        self,
        name: str,
        turn: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        namespace: str | None = None,
    ) -> Turn:
        """Return a turn of a conversation once it is over, or the session is final; raises ``WaitTimeout``."""

        session = await self.wait(
            name, until=lambda found: calls.is_turn_over(found, turn), timeout=timeout, namespace=namespace
        )
        return calls.find_turn(session, turn)

    # -- results

    async def result(
        self,
        name: str,
        *,
        turn: int | None = None,
        numbers: Numbers = Numbers.PYTHON,
        namespace: str | None = None,
    ) -> Any:
        """Return the result of a session, or of a turn; raises ``Conflict`` if there is none (yet)."""
        return await self._request(calls.get_result(self._place(name, namespace), turn, numbers))

    async def save_result(
        self, name: str, file: BinaryIO, *, turn: int | None = None, namespace: str | None = None
    ) -> int:
        """Write the result's JSON to a file as it comes, without holding it in memory; return its size in bytes."""
        call = calls.get_result(self._place(name, namespace), turn, Numbers.TEXT)
        size = 0
        with translated(self._base):
            request = build_request(self._http, self._base, call)
            response = await self._http.send(request, auth=self._auth, stream=True, follow_redirects=True)
            try:
                await self._require_success(response)
                async for piece in response.aiter_bytes():
                    size += file.write(piece)
            finally:
                await response.aclose()
        return size

    # -- within

    def _place(self, name: str, namespace: str | None) -> Place:
        return Place(namespace or self._namespace, name)

    async def _request(self, call: Call[T]) -> T:
        attempt = 1
        while True:
            try:
                return await self._send(call)
            except GatewayError as error:
                pause = decide_retry(call, error, attempt, self._attempts, self._jitter())
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    async def _send(self, call: Call[T]) -> T:
        with translated(self._base):
            request = build_request(self._http, self._base, call)
            response = await self._http.send(request, auth=self._auth, follow_redirects=call.follows)
        await self._require_success(response)
        return call.parse(response.content)

    async def _require_success(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise build_problem(response.status_code, lower_names(response.headers), await response.aread())

    async def _finish(self, steps: Generator[Step, Any, T]) -> T:
        """Carry out steps that deliver nothing, and return their value."""
        outcome: list[T] = []

        def keep() -> Generator[Step, Any, None]:
            outcome.append((yield from steps))

        async for _ in self._run(keep(), lambda _: None):
            pass
        return outcome[0]

    async def _run(
        self, steps: Generator[Step, Any, None], on_state: Callable[[ConnectionState], None]
    ) -> AsyncGenerator[Message]:
        """Carry out steps, and yield the messages that they deliver."""
        response: httpx.Response | None = None
        pieces: AsyncIterator[bytes] | None = None
        loop = asyncio.get_running_loop()
        outcome: Any = None
        failure: GatewayError | None = None
        try:
            while True:
                try:
                    step = steps.send(outcome) if failure is None else steps.throw(failure)
                except StopIteration:
                    return
                outcome, failure = None, None
                try:
                    match step:
                        case Deliver(message):
                            yield message
                        case Fetch(call):
                            outcome = await self._send(call)
                        case Receive():
                            assert pieces is not None  # noqa: S101  (the steps connect first)
                            with translated(self._base):
                                outcome = Received(await anext(pieces, b""), loop.time())
                        case Connect(call):
                            if response is not None:
                                await response.aclose()
                            response = await self._open(call)
                            pieces = response.aiter_bytes()
                        case Pause(seconds):
                            await asyncio.sleep(seconds)
                        case Changed(state):
                            on_state(state)
                except GatewayError as error:
                    failure = error
        finally:
            steps.close()
            if response is not None:
                await response.aclose()

    async def _open(self, call: Call[None]) -> httpx.Response:
        with translated(self._base):
            request = build_stream_request(self._http, self._base, call)
            response = await self._http.send(request, auth=self._auth, stream=True)
            if response.is_success and response.headers.get("content-type", "").startswith("text/event-stream"):
                return response
            try:
                await self._require_success(response)
            finally:
                await response.aclose()
        raise UnexpectedAnswer(f"{self._base} answered with no event stream: is that a gateway?")


class AsyncStream:
    """A session's messages as they come; see :meth:`AsyncClient.stream`."""

    def __init__(
        self,
        run: Callable[..., AsyncGenerator[Message]],
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

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        message = await anext(self._messages)
        self.after = self.after if message.seq is None else message.seq
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the stream; the session goes on."""
        await self._messages.aclose()
        if self.state is not ConnectionState.CLOSED:
            self._note(ConnectionState.CLOSED)
