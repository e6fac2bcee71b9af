"""LangGraph's saver and store with the contents encrypted.

The library encrypts by way of its serializer, which sees what goes into the tables of blobs and writes. It does not see
texts and numbers in the checkpoint's own JSON, metadata, and the store's values: these are brought under it here. What
stays readable is what the history of a thread is made of: ids, times, steps, the names of channels and nodes
(decision 10).
"""

import base64
import json
import math
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.store.base import GetOp, Item, Op, PutOp, Result, SearchItem, SearchOp
from psycopg.rows import DictRow

from agentic_runner.checkpoints.batching_saver import BatchingSaver, OnSaved, ignore
from agentic_runner.checkpoints.filters import matches
from agentic_runner.checkpoints.not_restorable import NotRestorable
from agentic_runner.checkpoints.project_store import ProjectStore
from agentic_runner.checkpoints.state_codec import StateCodec, describe_type, is_encodable
from agentic_runner.checkpoints.state_types import StateTypes
from agentic_runner.keyring import CIPHER, Keyring

SEALED: Final = "agentic_sealed"
# What LangGraph and the history of a session look for in metadata. Everything else in it is an author's.
STRUCTURE: Final = frozenset(
    {
        "source",
        "step",
        "parents",
        "run_id",
        "counters_since_delta_snapshot",
        "delta_writes_versioned",
        "agentic_run",
        "agentic_fork",
    }
)
# The keys of a configuration that remain when the others are in the metadata.
_PLACE: Final = ("thread_id", "checkpoint_ns", "checkpoint_id")
_MAX_REMEMBERED: Final = 10_000
# A longer text is kept among the blobs: written when it changes, and not with every checkpoint. Where nothing is
# encrypted, a statement more only pays for what the server would take long to read as JSON.
_LONGEST_SEALED: Final = 1024
_LONGEST_PLAIN: Final = 8192
# So many of an encrypted store's items are read to be filtered, and more if they are not enough.
_FIRST_READ: Final = 500
_SEALED_TEXT: Final = re.compile(rf"{SEALED}:(json(?:\+{CIPHER}[0-9a-f]{{8}})?):([A-Za-z0-9+/]+={{0,2}})")


class EncryptingSerializer(JsonPlusSerializer):
    """LangGraph's serializer, strict whatever the environment says, with encryption below it.

    As with the library's own, the type of an encrypted value is ``TYPE+CIPHER``; ours is bound to its type, too.
    """

    def __init__(
        self, keyring: Keyring, state_types: StateTypes | None = None, *, mask: Callable[[str], str] = str
    ) -> None:
        self._mask = mask
        self._codec = StateCodec(state_types or StateTypes())
        super().__init__(
            pickle_fallback=False,
            allowed_json_modules=None,
            allowed_msgpack_modules=None,
            __unpack_ext_hook__=self._codec.unpack_object,
        )
        self.keyring = keyring

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return type and bytes of a value; raise ``NotRestorable`` where they would not give it back.

        An exception by itself is what LangGraph keeps of a task that failed, for people: its text, and so masked. No
        value of a state is: what comes back is what was saved.
        """
        if isinstance(obj, BaseException):
            obj = self._mask(repr(obj))
        if obj is None or isinstance(obj, bytes | bytearray):
            type_, data = super().dumps_typed(obj)
        else:
            type_, data = "msgpack", self._codec.pack(obj)
        return self.seal(type_, data) if self.keyring.is_encrypting else (type_, data)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return super().loads_typed(self.open(*data))

    def seal(self, type_: str, data: bytes) -> tuple[str, bytes]:
        """Return serialized bytes encrypted."""
        return f"{type_}+{self.keyring.cipher}", self.keyring.encrypt(bytes(data), type_)

    def open(self, type_: str, data: bytes) -> tuple[str, bytes]:
        """Return serialized bytes as they were before they were encrypted, if they are."""
        plain_type, plus, cipher = type_.partition("+")
        if not plus or not cipher.startswith(CIPHER):
            return type_, data
        return plain_type, self.keyring.decrypt(cipher, data, plain_type)

    # JSON comes back as the library's own JSON does, and nothing in it is taken for a constructor.

    def seal_text(self, value: Any) -> str:
        """Return JSON as a JSON text that contains it, encrypted with keys: PostgreSQL takes any such text."""
        type_, data = "json", json.dumps(value).encode()
        if self.keyring.is_encrypting:
            type_, data = self.seal(type_, data)
        return f"{SEALED}:{type_}:{base64.b64encode(data).decode()}"

    def open_text(self, value: Any) -> Any:
        """Return what :meth:`seal_text` was given; any other value as it is."""
        if not isinstance(value, str) or (found := _SEALED_TEXT.fullmatch(value)) is None:
            return value
        return json.loads(self.open(found[1], base64.b64decode(found[2]))[1])

    def seal_json(self, value: Any) -> dict[str, Any]:
        """Return JSON as JSON that holds it encrypted."""
        return {SEALED: self.seal_text(value)}

    def open_json(self, value: Mapping[str, Any]) -> Any:
        """Return what :meth:`seal_json` was given; any other object as it is."""
        text = value.get(SEALED) if len(value) == 1 else None
        opened = self.open_text(text)
        return value if opened is text else opened


def is_short(value: Any, *, longest: int = _LONGEST_SEALED) -> bool:
    """Return whether a value is short enough for the checkpoint's row."""
    return not isinstance(value, str) or len(value) <= longest


def is_inline(value: Any) -> bool:
    """Return whether the database's JSON gives a text or number back as it is.

    It takes neither U+0000 nor half a surrogate pair, nan nor infinity, has no negative zero, and writes 1e22 as an
    integer; a member of an enum would come back as its bare value.
    """
    if isinstance(value, Enum):
        return False
    if isinstance(value, float):
        return math.isfinite(value) and "e" not in float.__repr__(value) and (value != 0 or math.copysign(1, value) > 0)
    return not isinstance(value, str) or is_storable_text(value)


def is_storable_text(text: str) -> bool:
    """Return whether PostgreSQL stores a text as it is, and it is not taken for something sealed."""
    if "\0" in text or text.startswith(SEALED):
        return False
    return text.isascii() or is_encodable(text)


def is_storable_json(value: Any) -> bool:
    """Return whether PostgreSQL stores JSON as it is."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except ValueError:
        return False
    return "\\u0000" not in text and SEALED not in text and is_encodable(text)


_PLAIN: Final[Mapping[type | None, Callable[[Any], Any]]] = {str: str.__str__, int: int.__int__, float: float.__float__}


def _kind(value: Any) -> type | None:
    return next((kind for kind in (bool, str, int, float) if isinstance(value, kind)), None)


def _as_json(value: Any) -> Any:
    """Return a value as JSON would give it back: a text, not the enum that it is a member of."""
    return _PLAIN[kind](value) if (kind := _kind(value)) in _PLAIN else value


def contains(value: Any, wanted: Any) -> bool:
    """Return whether JSON contains other JSON, as PostgreSQL's ``@>`` does."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(
            key in value and contains(value[key], part) for key, part in wanted.items()
        )
    if isinstance(wanted, (list, tuple)):
        return isinstance(value, (list, tuple)) and all(any(contains(each, part) for each in value) for part in wanted)
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


class _Boxed:
    """A value that the saver would keep in the checkpoint's JSON, were it not in a box."""

    def __init__(self, value: Any) -> None:
        self.value = value


class EncryptedSaver(BatchingSaver):
    """A saver that encrypts the checkpoint's own row: short values stay there, long ones become blobs.

    Long texts are blobs without encryption, too, as everything large is for the library but them. A blob costs a
    statement, and a value in the row is written with every checkpoint.
    """

    def __init__(self, connections: Any, *, serde: EncryptingSerializer, on_saved: OnSaved = ignore) -> None:
        super().__init__(connections, serde=serde, on_saved=on_saved)
        # The last version of each channel that is known to be committed among the blobs; all copies share it.
        self._kept: dict[tuple[str, str, str], Any] = {}
        self._sealing = serde

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint with long texts as blobs and, with keys, the rest of its row encrypted."""
        place = config["configurable"]
        versions = dict(new_versions)
        values = dict(checkpoint["channel_values"])
        added: dict[tuple[str, str, str], Any] = {}
        is_encrypting = self._sealing.keyring.is_encrypting
        longest = _LONGEST_SEALED if is_encrypting else _LONGEST_PLAIN
        for channel, value in values.items():
            # Nothing is to be seen of None, and LangGraph's triggers hold nothing else.
            if value is None or _kind(value) is None:
                continue
            if is_short(value, longest=longest) and (
                is_inline(value) or (is_encrypting and not isinstance(value, Enum))
            ):
                if is_encrypting:
                    values[channel] = self._sealing.seal_text(_as_json(value))
                continue
            values[channel] = _Boxed(value if isinstance(value, Enum) else _as_json(value))
            version = checkpoint["channel_versions"][channel]
            # An unchanged one may stand in the row of an older checkpoint alone, where another program wrote that.
            name = (place["thread_id"], place.get("checkpoint_ns", ""), channel)
            if self._kept.get(name) != version:
                added[name] = versions[channel] = version
        sealed_checkpoint = cast("Checkpoint", {**checkpoint, "channel_values": values})
        if is_encrypting or not is_storable_json(get_serializable_checkpoint_metadata(config, metadata)):
            metadata = self._seal_metadata(config, metadata)
            config = {"configurable": {key: place[key] for key in _PLACE if key in place}}
        saved = await super().aput(config, sealed_checkpoint, metadata, versions)
        if len(self._kept) >= _MAX_REMEMBERED:
            self._kept.clear()
        self._kept.update(added)
        return saved

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  (as the library calls it)
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """List checkpoints as the library does, by an author's metadata also where the database cannot read it."""
        if not self._sealing.keyring.names or not filter or filter.keys() <= STRUCTURE:
            async for found in super().alist(config, filter=filter, before=before, limit=limit):
                yield found
            return
        readable = {key: value for key, value in filter.items() if key in STRUCTURE}
        left = limit
        async for found in super().alist(config, filter=readable, before=before):
            if left == 0:
                return
            if contains(found.metadata, filter):
                left = None if left is None else left - 1
                yield found

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread as the library does, its blobs with it."""
        try:
            await super().adelete_thread(thread_id)
        finally:
            self._kept.clear()

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Prune threads as the library does, blobs with them."""
        try:
            await super().aprune(thread_ids, strategy=strategy)
        finally:
            self._kept.clear()

    def _seal_metadata(self, config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
        given: dict[str, Any] = dict(get_serializable_checkpoint_metadata(config, metadata))
        kept = {key: given.pop(key) for key in STRUCTURE & given.keys()}
        return cast("CheckpointMetadata", {**kept, **(self._sealing.seal_json(given) if given else {})})

    def _dump_blobs(
        self, thread_id: str, checkpoint_ns: str, values: dict[str, Any], versions: ChannelVersions
    ) -> list[tuple[str, str, str, str, str, bytes | None]]:
        bare = {name: value.value if isinstance(value, _Boxed) else value for name, value in values.items()}
        try:
            return super()._dump_blobs(thread_id, checkpoint_ns, bare, versions)
        except NotRestorable as error:
            raise self._place(error, [(name, bare[name]) for name in versions if name in bare]) from None

    def _dump_writes(
        self,
        thread_id: str,
        checkpoint_ns: str,
        checkpoint_id: str,
        task_id: str,
        task_path: str,
        writes: Sequence[tuple[str, Any]],
    ) -> list[tuple[str, str, str, str, str, int, str, str, bytes]]:
        for channel, value in writes:
            if isinstance(value, BaseException) and channel not in WRITES_IDX_MAP:
                reason = "exceptions are not restored: keep their text in the state"
                raise NotRestorable(describe_type(type(value)), reason, channel=channel, task_id=task_id)
        try:
            return super()._dump_writes(thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, writes)
        except NotRestorable as error:
            raise self._place(error, writes, task_id) from None

    def _place(self, error: NotRestorable, values: Sequence[tuple[str, Any]], task_id: str = "") -> NotRestorable:
        """Return the error with the channel whose value caused it."""
        for channel, value in values:
            try:
                self.serde.dumps_typed(value)
            except NotRestorable as found:
                return found.at(channel=channel, task_id=task_id)
        return error

    def _build_delta_channels_writes_history(
        self, *, seed_inline_by_ch: Mapping[str, Any], **found: Any
    ) -> dict[str, DeltaChannelHistory]:
        seeds = {channel: self._sealing.open_text(value) for channel, value in seed_inline_by_ch.items()}
        return super()._build_delta_channels_writes_history(seed_inline_by_ch=seeds, **found)

    async def _load_checkpoint_tuple(self, value: DictRow) -> CheckpointTuple:
        loaded = await super()._load_checkpoint_tuple(value)
        values = loaded.checkpoint["channel_values"]
        for channel, inline in values.items():
            if isinstance(inline, str):
                values[channel] = self._sealing.open_text(inline)
        metadata: dict[str, Any] = dict(loaded.metadata)
        if SEALED not in metadata:
            return loaded
        opened = self._sealing.open_json({SEALED: metadata.pop(SEALED)})
        return loaded._replace(metadata=cast("CheckpointMetadata", {**opened, **metadata}))


class EncryptedStore(ProjectStore):
    """A project's long-term store with the values of its items encrypted; their keys and namespaces are not.

    The database cannot read them, so a search is filtered here.
    """

    def __init__(self, connections: Any, *, label: str, serde: EncryptingSerializer, **options: Any) -> None:
        super().__init__(connections, label=label, **options)
        self._sealing = serde

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do the operations on encrypted values."""
        wanted = list(ops)
        if not self._sealing.keyring.is_encrypting:
            return [self._open(result) for result in await super().abatch(wanted)]
        sent = [self._seal(op) for op in wanted if not _is_filtered(op)]
        found = iter(await super().abatch(sent)) if sent else iter(())
        results: list[Result] = []
        for op in wanted:
            filtered = isinstance(op, SearchOp) and _is_filtered(op)
            results.append(await self._filter(op) if filtered else self._open(next(found)))  # type: ignore[arg-type]
        return results

    async def _filter(self, op: SearchOp) -> list[SearchItem]:
        """Return the results of a search with a filter, newest first; items are decrypted one by one."""
        end, limit = op.offset + op.limit, _FIRST_READ
        while True:
            # From the beginning each time: where one ends, a moment later, is no place to go on from.
            (found,) = await super().abatch([op._replace(filter=None, limit=limit, offset=0, refresh_ttl=False)])
            items = cast("list[SearchItem]", found)
            matching = [item for item in items if self._open(item) and matches(item.value, op.filter or {})]
            if len(items) < limit or len(matching) >= end:
                break
            limit *= 8
        chosen = matching[op.offset : end]
        if op.refresh_ttl and chosen:
            await super().abatch([GetOp(item.namespace, item.key, refresh_ttl=True) for item in chosen])
        return chosen

    def _seal(self, op: Op) -> Op:
        if isinstance(op, PutOp) and op.value is not None:
            return op._replace(value=self._sealing.seal_json(dict(op.value)))
        return op

    def _open(self, result: Result) -> Result:
        if isinstance(result, Item):
            result.value = self._sealing.open_json(result.value)
        elif isinstance(result, list):
            for each in result:
                if isinstance(each, Item):
                    self._open(each)
        return result


def _is_filtered(op: Op) -> bool:
    return isinstance(op, SearchOp) and bool(op.filter)
