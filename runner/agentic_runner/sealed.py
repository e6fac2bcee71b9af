"""LangGraph's saver and store with everything that a graph's author put into them encrypted.

The library encrypts by way of its serializer, which sees what goes into the tables of blobs and writes. It does not see
texts and numbers in the checkpoint's own JSON, metadata, and the store's values: these are brought under it here. What
stays readable is what the history of a thread is made of: ids, times, steps, the names of channels and nodes.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.store.base import Item, Op, PutOp, Result, SearchOp
from psycopg.rows import DictRow

from agentic_core.errors import PermanentError
from agentic_runner.encryption import CIPHER, Keyring
from agentic_runner.long_term import ProjectStore

SEALED: Final = "agentic_sealed"
# What LangGraph and the history of a session look for in metadata. Everything else in it is an author's.
STRUCTURE: Final = frozenset(
    {"source", "step", "parents", "run_id", "counters_since_delta_snapshot", "agentic_run", "agentic_fork"}
)
_MAX_REMEMBERED: Final = 10_000


class SealingSerializer(JsonPlusSerializer):
    """LangGraph's serializer, strict whatever the environment says, with encryption below it.

    As with the library's own, the type of an encrypted value is ``TYPE+CIPHER``; ours is bound to its type, too.
    """

    def __init__(self, keyring: Keyring) -> None:
        super().__init__(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=None)
        self.keyring = keyring

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        type_, data = super().dumps_typed(obj)
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

    def seal_json(self, value: Any) -> dict[str, Any]:
        """Return a value as JSON that holds it encrypted."""
        type_, data = self.dumps_typed(value)
        return {SEALED: [type_, base64.b64encode(data).decode()]}

    def open_json(self, value: Mapping[str, Any]) -> Any:
        """Return what :meth:`seal_json` was given."""
        type_, text = value[SEALED]
        return self.loads_typed((type_, base64.b64decode(text)))


_PLAIN: Final[Mapping[type | None, Callable[[Any], Any]]] = {str: str.__str__, int: int.__int__, float: float.__float__}


def _kind(value: Any) -> type | None:
    return next((kind for kind in (bool, str, int, float) if isinstance(value, kind)), None)


class _Boxed:
    """A value that the saver would keep in the checkpoint's JSON, were it not in a box."""

    def __init__(self, value: Any) -> None:
        # As JSON would give it back: a text, not the enum that it is a member of.
        self.value = _PLAIN[kind](value) if (kind := _kind(value)) in _PLAIN else value


def _is_inlined(channel: str, value: Any) -> bool:
    # LangGraph's triggers hold nothing, and their names are what the history of a thread shows as its next nodes.
    is_trigger = value is None and channel.startswith("branch:to:")
    return not is_trigger and (value is None or isinstance(value, str | int | float | bool))


class SealedSaver(AsyncPostgresSaver):
    """LangGraph's saver, which keeps no value of a channel in the checkpoint's own row."""

    def __init__(self, connections: Any, *, serde: SealingSerializer) -> None:
        super().__init__(connections, serde=serde)
        # The last version of each channel that is known to be among the blobs.
        self._kept: dict[tuple[str, str, str], Any] = {}
        self._sealing = serde

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint with its inlined values among the blobs, and the author's metadata encrypted."""
        if not self._sealing.keyring.is_encrypting:
            return await super().aput(config, checkpoint, metadata, new_versions)
        place = config["configurable"]
        versions = dict(new_versions)
        values = dict(checkpoint["channel_values"])
        for channel, value in values.items():
            if not _is_inlined(channel, value):
                continue
            values[channel] = _Boxed(value)
            version = checkpoint["channel_versions"][channel]
            # An unchanged one may stand in the row of an older checkpoint alone, from before encryption.
            name = (place["thread_id"], place.get("checkpoint_ns", ""), channel)
            if self._kept.get(name) != version:
                versions[channel] = version
                self._remember(name, version)
        sealed_checkpoint = cast("Checkpoint", {**checkpoint, "channel_values": values})
        bare: dict[str, Any] = {
            key: place[key] for key in ("thread_id", "checkpoint_ns", "checkpoint_id") if key in place
        }
        try:
            return await super().aput(
                {"configurable": bare}, sealed_checkpoint, self._seal_metadata(config, metadata), versions
            )
        except BaseException:
            self._kept.clear()
            raise

    def _remember(self, name: tuple[str, str, str], version: Any) -> None:
        if len(self._kept) >= _MAX_REMEMBERED:
            self._kept.clear()
        self._kept[name] = version

    def _seal_metadata(self, config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
        given: dict[str, Any] = dict(get_serializable_checkpoint_metadata(config, metadata))
        kept = {key: given.pop(key) for key in STRUCTURE & given.keys()}
        return cast("CheckpointMetadata", {**kept, **(self._sealing.seal_json(given) if given else {})})

    def _dump_blobs(
        self, thread_id: str, checkpoint_ns: str, values: dict[str, Any], versions: ChannelVersions
    ) -> list[tuple[str, str, str, str, str, bytes | None]]:
        bare = {name: value.value if isinstance(value, _Boxed) else value for name, value in values.items()}
        return super()._dump_blobs(thread_id, checkpoint_ns, bare, versions)

    async def _load_checkpoint_tuple(self, value: DictRow) -> CheckpointTuple:
        loaded = await super()._load_checkpoint_tuple(value)
        metadata: dict[str, Any] = dict(loaded.metadata)
        if SEALED not in metadata:
            return loaded
        opened = self._sealing.open_json({SEALED: metadata.pop(SEALED)})
        return loaded._replace(metadata=cast("CheckpointMetadata", {**opened, **metadata}))


class SealedStore(ProjectStore):
    """A project's long-term store with the values of its items encrypted; their keys and namespaces are not."""

    def __init__(self, connections: Any, *, label: str, serde: SealingSerializer) -> None:
        super().__init__(connections, label=label)
        self._sealing = serde

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do the operations on encrypted values."""
        return [self._open(result) for result in await super().abatch([self._seal(op) for op in ops])]

    def _seal(self, op: Op) -> Op:
        if not self._sealing.keyring.is_encrypting:
            return op
        if isinstance(op, PutOp) and op.value is not None:
            return op._replace(value=self._sealing.seal_json(dict(op.value)))
        if isinstance(op, SearchOp) and op.filter:
            raise PermanentError(
                f"the store's items are encrypted and cannot be filtered by {sorted(op.filter)!r}: search by namespace"
                " and filter what is found"
            )
        return op

    def _open(self, result: Result) -> Result:
        if isinstance(result, Item):
            if result.value.keys() == {SEALED}:
                result.value = self._sealing.open_json(result.value)
        elif isinstance(result, list):
            for each in result:
                if isinstance(each, Item):
                    self._open(each)
        return result
