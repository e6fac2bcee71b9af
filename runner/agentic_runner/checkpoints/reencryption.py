"""Re-encrypts values that are encrypted with an older key, or not at all.

It works beside running sessions: a row is replaced only if it is unchanged since it was read, in transactions of one
page. After a kill it starts again. Blobs are decrypted and encrypted, and never deserialized.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from agentic_core.contract import ExitCode
from agentic_core.errors import AgenticError
from agentic_runner.checkpoints.encrypted_saver import SEALED, STRUCTURE, EncryptingSerializer, is_short
from agentic_runner.keyring import read_keyring
from agentic_store.dsn import Dsn, read_dsn
from agentic_store.errors import translated
from agentic_store.statements import load_statements

_SQL: Final = load_statements("reencryption")
PAGE: Final = 200
_LONGEST_TYPE: Final = 64

Cursor = AsyncCursor[DictRow]


async def reencrypt(dsn: Dsn, serde: EncryptingSerializer, *, page: int = PAGE) -> dict[str, int]:
    """Bring every row under the keyring's first key; return how many of each table were changed."""
    with translated():
        async with await AsyncConnection.connect(dsn.conninfo, autocommit=True, row_factory=dict_row) as conn:
            work = _Work(conn, serde, page)
            return {
                "checkpoints": await work.walk("checkpoints", ("thread_id", "checkpoint_ns", "checkpoint_id")),
                "checkpoint_blobs": await work.walk("blobs", ("thread_id", "checkpoint_ns", "channel", "version")),
                "checkpoint_writes": await work.walk(
                    "writes", ("thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx")
                ),
                "store": await work.walk("items", ("prefix", "key")),
            }


class _Work:
    def __init__(self, conn: AsyncConnection[DictRow], serde: EncryptingSerializer, page: int) -> None:
        self._conn = conn
        self._serde = serde
        self._page = page

    async def walk(self, name: str, key: Sequence[str]) -> int:
        """Process a table once; rows written in the meantime already use the first key."""
        replace: Mapping[str, Callable[[Cursor, DictRow], Any]] = {
            "checkpoints": self._replace_checkpoint,
            "blobs": self._replace_blob,
            "writes": self._replace_write,
            "items": self._replace_item,
        }
        place: tuple[Any, ...] = tuple(-(2**31) if column == "idx" else "" for column in key)
        wanted = () if name == "checkpoints" else (self._serde.keyring.cipher,)
        changed = 0
        while True:
            async with self._conn.transaction(), self._conn.cursor() as cursor:
                await cursor.execute(_SQL[name], (*place, *wanted, self._page))
                rows = await cursor.fetchall()
                for row in rows:
                    changed += await replace[name](cursor, row)
            if len(rows) < self._page:
                return changed
            place = tuple(rows[-1][column] for column in key)

    def _seal(self, type_: str, data: bytes | None) -> tuple[str, bytes]:
        return self._serde.seal(*self._serde.open(type_, data or b""))

    async def _replace_blob(self, cursor: Cursor, row: DictRow) -> int:
        key = (row["thread_id"], row["checkpoint_ns"], row["channel"], row["version"])
        await cursor.execute(_SQL["replace_blob"], (*self._seal(row["type"], row["blob"]), *key, row["type"]))
        return cursor.rowcount

    async def _replace_write(self, cursor: Cursor, row: DictRow) -> int:
        key = (row["thread_id"], row["checkpoint_ns"], row["checkpoint_id"], row["task_id"], row["idx"])
        await cursor.execute(_SQL["replace_write"], (*self._seal(row["type"], row["blob"]), *key, row["type"]))
        return cursor.rowcount

    async def _replace_item(self, cursor: Cursor, row: DictRow) -> int:
        value = self._serde.open_json(row["value"])
        await cursor.execute(
            _SQL["replace_item"],
            (Jsonb(self._serde.seal_json(value)), row["prefix"], row["key"], Jsonb(row["value"])),
        )
        return cursor.rowcount

    async def _replace_checkpoint(self, cursor: Cursor, row: DictRow) -> int:
        metadata = row["metadata"]
        inline = {name: value for name, value in row["inline"].items() if not self._is_current(value)}
        known = {name: value for name, value in metadata.items() if name in STRUCTURE}
        is_current = SEALED not in metadata or self._is_current(metadata[SEALED])
        if is_current and not inline and metadata.keys() <= {*known, SEALED}:
            return 0
        given = {name: value for name, value in metadata.items() if name not in STRUCTURE and name != SEALED}
        if SEALED in metadata:
            given |= self._serde.open_json({SEALED: metadata[SEALED]})
        key = (row["thread_id"], row["checkpoint_ns"], row["checkpoint_id"])
        short: dict[str, str] = {}
        for channel, value in inline.items():
            opened = self._serde.open_text(value)
            if is_short(opened):
                short[channel] = self._serde.seal_text(opened)
                continue
            place = (row["thread_id"], row["checkpoint_ns"], channel, row["versions"][channel])
            await cursor.execute(_SQL["add_blob"], (*place, *self._serde.dumps_typed(opened)))
        sealed = {**known, **(self._serde.seal_json(given) if given else {})}
        await cursor.execute(
            _SQL["replace_checkpoint"], (Jsonb(sealed), list(inline), Jsonb(short), *key, Jsonb(metadata))
        )
        return cursor.rowcount

    def _is_current(self, value: Any) -> bool:
        return isinstance(value, str) and f"+{self._serde.keyring.cipher}:" in value[:_LONGEST_TYPE]


def main(environ: Mapping[str, str]) -> int:
    """Do it with the connection string and the keys that the environment names; return the exit code."""
    file = environ.get("ENCRYPTION_KEYS_FILE", "")
    try:
        keyring = read_keyring(Path(file))
        if not keyring.is_encrypting:
            sys.stderr.write("the file with the keys begins with 'plain': there is no key to encrypt with\n")
            return ExitCode.CONFIGURATION
        changed = asyncio.run(reencrypt(read_dsn(environ), EncryptingSerializer(keyring)))
    except AgenticError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIGURATION
    for table, count in changed.items():
        sys.stdout.write(f"{table}: {count} encrypted anew with key {keyring.cipher}\n")
    return 0


if __name__ == "__main__":
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    sys.exit(main(os.environ))
