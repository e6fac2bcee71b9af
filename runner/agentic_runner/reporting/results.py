"""Saves a run's result: in the session's row or, over 90 MB, in the object store.

Nothing here holds a second copy of a large result: it is encoded piece by piece, first to learn whether it is large,
then once more into the upload. Whatever fails, the last checkpoint has the state that the result is made of, and the
run that follows takes it from there.
"""

import asyncio
import hashlib
import logging
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_core.contract import MAX_INLINE_RESULT_BYTES, MAX_OUTPUT_BYTES, MAX_STORED_OUTPUT_BYTES
from agentic_core.errors import AgenticError, OutputTooLarge
from agentic_core.strict_json import spell_wide_integers
from agentic_runner.config import RunConfig
from agentic_runner.drain import Drain
from agentic_runner.session.reporter import compute_delay
from agentic_runner.session.status import Result
from agentic_store.errors import OUTPUT_TOO_LARGE
from agentic_store.results.objects import ObjectStore, ObjectStoreUnavailable, read_object_store_folder
from agentic_store.results.output import EncodedOutput, Replacement, encode_output
from agentic_store.results.output_stream import OutputStream

log = logging.getLogger(__name__)

_REFERENCE_KEYS: Final = frozenset({"result_url", "size", "sha256"})


class UploadInterrupted(AgenticError):
    """The process was asked to end while it stored the result; the next one does it again."""


@dataclass(frozen=True)
class SavedResult:
    """A result with its place: what the row holds, and what the status shows."""

    output: EncodedOutput
    result: Result
    key: str | None = None
    """The object that holds it; None if the row does."""
    replacements: tuple[Replacement, ...] = ()


class ResultSaver:
    """Finds the place for the result of one run, or of one ``turn``, by its number.

    ``on_trouble`` is called with the reason where it takes longer. Results of turns lie apart from each other: each is
    kept as long as its session is.
    """

    def __init__(
        self, config: RunConfig, drain: Drain, on_trouble: Callable[[str], None], *, turn: int | None = None
    ) -> None:
        self._config = config
        self._drain = drain
        self._on_trouble = on_trouble
        self._turn = turn

    async def save(self, output: Any) -> SavedResult:
        """Return the result for the row, or its reference once the object store has it.

        Raises ``OutputTooLarge`` where it is too large and there is no object store, ``ObjectStoreUnavailable`` where
        that stays away, ``ObjectStoreRefused`` where it wants other credentials, and :class:`UploadInterrupted`.
        """
        has_store = self._config.result_store_dir is not None
        limit = MAX_STORED_OUTPUT_BYTES if has_store else MAX_OUTPUT_BYTES
        encoded = await asyncio.to_thread(encode_up_to, output, limit)
        if encoded is not None:
            return self._place_in_row(encoded)
        return await self.save_outside(output)

    async def save_outside(self, output: Any) -> SavedResult:
        """Upload the result, whatever its size; see :meth:`save`."""
        if self._config.result_store_dir is None:
            raise OutputTooLarge(OUTPUT_TOO_LARGE)
        log.info("large result: uploading it to the object store")
        config = self._config
        deadline = asyncio.get_running_loop().time() + config.result_store_patience_seconds
        attempt = 0
        while True:
            try:
                return await self._upload(output)
            except ObjectStoreUnavailable as error:
                attempt += 1
                log.warning("storing the result failed, retrying: %s", error, extra={"attempt": attempt})
                self._on_trouble(str(error))
                delay = compute_delay(attempt + 1, error.retry_after_seconds, random.random())  # noqa: S311
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise ObjectStoreUnavailable(f"{error}; the last checkpoint has the result") from error
                if await self._drain.wait_requested(delay):
                    raise UploadInterrupted(
                        f"asked to end ({self._drain.reason}) before the result was stored"
                    ) from error

    async def remove_others(self, saved: SavedResult) -> None:
        """Remove what earlier attempts of this session left beside the object that the row now refers to."""
        if saved.key is None:
            return
        try:
            count = await asyncio.to_thread(self._delete_others, saved.key)
        except AgenticError as error:
            log.warning("removing objects of earlier attempts failed; they go with the session: %s", error)
        else:
            if count:
                log.info("removed objects of earlier attempts", extra={"objects": count})

    def describe(self, value: Any) -> Result:
        """Return what the status shows of a result that a row holds: the result itself, or a reference to it."""
        if (reference := self._read_reference(value)) is not None:
            return reference
        return self._place_in_row(encode_output(value)).result

    def _place_in_row(self, encoded: EncodedOutput) -> SavedResult:
        config = self._config
        value = encoded.value() if encoded.size <= MAX_INLINE_RESULT_BYTES else None
        is_rounded = value is not None and spell_wide_integers(value) != value
        result = Result(
            size=encoded.size,
            sha256=encoded.sha256,
            url=f"db://workflow_sessions/{config.namespace}/{config.session_name}"
            if self._turn is None
            else f"db://session_turns/{config.namespace}/{config.session_name}/{self._turn}",
            value=None if is_rounded else value,
            is_rounded=is_rounded,
        )
        return SavedResult(encoded, result, replacements=encoded.replacements)

    async def _upload(self, output: Any) -> SavedResult:
        """Upload once, in a thread; leave it behind when the time for draining is over."""
        upload = asyncio.create_task(asyncio.to_thread(self._upload_now, output), name="upload")
        patience = asyncio.create_task(self._drain.wait(self._config.grace_seconds), name="drain")
        try:
            await asyncio.wait({upload, patience}, return_when=asyncio.FIRST_COMPLETED)
            if upload.done():
                return upload.result()
            raise UploadInterrupted(f"asked to end ({self._drain.reason}) while the result was stored")
        finally:
            patience.cancel()

    def _upload_now(self, output: Any) -> SavedResult:
        store = self._open_store()
        prefix = self._find_folder(store)
        store.abort_uploads(prefix)
        # A name of its own for each attempt: a runner that was thought dead cannot change what its successor wrote.
        key = f"{prefix}result-r{self._config.run}-{uuid.uuid4().hex[:8]}.json"
        source = _Source(OutputStream(output), self._drain)
        store.put(key, source)
        result = Result(size=source.size, sha256=source.sha256, url=store.url(key), is_outside=True)
        reference = {"result_url": result.url, "size": result.size, "sha256": result.sha256}
        return SavedResult(encode_output(reference), result, key, source.replacements)

    def _delete_others(self, key: str) -> int:
        store = self._open_store()
        return store.delete(self._find_folder(store), keep=key)

    def _find_folder(self, store: ObjectStore) -> str:
        return store.key(
            self._config.namespace, self._config.session_uid, "" if self._turn is None else f"turn-{self._turn}/"
        )

    def _open_store(self) -> ObjectStore:
        assert self._config.result_store_dir is not None  # noqa: S101  (checked by `save_outside`)
        # Read anew: its credentials may have been changed while the graph ran.
        return ObjectStore(read_object_store_folder(self._config.result_store_dir))

    def _read_reference(self, value: Any) -> Result | None:
        if not isinstance(value, Mapping) or value.keys() != _REFERENCE_KEYS:
            return None
        url, size, sha256 = value["result_url"], value["size"], value["sha256"]
        own = f"/{self._config.namespace}/{self._config.session_uid}/"
        if not (isinstance(url, str) and url.startswith("s3://") and own in url):
            return None
        return Result(size=int(size), sha256=str(sha256), url=url, is_outside=True)


def encode_up_to(output: Any, limit: int) -> EncodedOutput | None:
    """Encode an output that is smaller than ``limit``; None of a larger one, most of which is never encoded."""
    stream = OutputStream(output)
    pieces: list[bytes] = []
    size = 0
    for piece in stream:
        size += len(piece)
        if size >= limit:
            return None
        pieces.append(piece)
    data = b"".join(pieces)
    return EncodedOutput(data.decode(), size, hashlib.sha256(data).hexdigest(), stream.replacements)


class _Source:
    """A result as a stream to read from; knows its size and digest at its end."""

    def __init__(self, stream: OutputStream, drain: Drain) -> None:
        self._stream = stream
        self._pieces: Iterator[bytes] = iter(stream)
        self._drain = drain
        self._rest = b""
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def replacements(self) -> tuple[Replacement, ...]:
        return self._stream.replacements

    def read(self, size: int = -1, /) -> bytes:
        if self._drain.reason is not None:
            raise UploadInterrupted(f"asked to end ({self._drain.reason}) while the result was stored")
        if not self._rest:
            self._rest = next(self._pieces, b"")
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        self._digest.update(data)
        self.size += len(data)
        return data
