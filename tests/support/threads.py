"""Threads of ended and living sessions, planted as rows in the form that LangGraph's saver gives them."""

import uuid
from datetime import UTC, datetime, timedelta

import psycopg

from agentic_core.lifecycle import Phase
from agentic_core.threads import thread_id
from tests.support.postgres import PostgresDatabase

TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
_UUID_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)

PLANT = """
WITH made AS (
    SELECT n, lpad(to_hex(%(id)s::bigint + n), 15, '0') AS digits FROM generate_series(1, %(steps)s) AS n
),
ids AS (
    SELECT n, substr(digits, 1, 8) || '-' || substr(digits, 9, 4) || '-6' || substr(digits, 13, 3)
        || '-8000-000000000000' AS id
    FROM made
),
points AS (
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT %(thread)s, '', id, lag(id) OVER (ORDER BY n),
        jsonb_build_object('v', 4, 'ts', %(ts)s::text, 'id', id, 'channel_values', jsonb_build_object('count', n),
            'channel_versions', jsonb_build_object('big', n::text), 'versions_seen', '{}'::jsonb),
        jsonb_build_object('step', n - 2, 'source', 'loop')
    FROM ids
),
blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT %(thread)s, '', 'big', n::text, 'msgpack', decode(repeat(md5(n::text), %(size)s / 16), 'hex') FROM ids
)
INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob)
SELECT %(thread)s, '', id, 'task', 0, 'big', 'msgpack', '\\x00' FROM ids
"""


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def plant(
    database: PostgresDatabase,
    name: str,
    *,
    ended: datetime | None,
    status: Phase = Phase.COMPLETED,
    project: str = "team",
    uid: str = "",
    workflow: str = "w",
    steps: int = 3,
    ts: str | None = None,
    id_time: datetime | None = None,
    has_row: bool = True,
    has_fence: bool = True,
    size: int = 64,
) -> str:
    """Plant a session's row, fence, events and thread; return its thread id.

    ``ended`` is when it ended by the database's clock; ``ts`` and ``id_time`` are what the runner's said, the same
    where nothing else is given.
    """
    thread, uid = thread_id(project, name), uid or f"uid-{project}-{name}"
    at = ended or datetime.now(UTC)
    if has_row:
        database.execute(
            "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, status, thread_id,"
            " run, created_at, updated_at, completed_at) VALUES (%s, %s, %s, %s, %s, %s, 1, %s, %s, %s)",
            [
                uid,
                project,
                name,
                workflow,
                status.wire,
                thread,
                at - timedelta(hours=1),
                at,
                ended if status.is_final else None,
            ],
        )
        database.execute("INSERT INTO session_events (session_uid, seq, run, type) VALUES (%s, 1, 1, 'x')", [uid])
    if has_fence:
        database.execute(
            "INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder)"
            " VALUES (%s, %s, nextval('thread_fence_epochs'), 1, 'pod')",
            [thread, uid],
        )
    ticks = int(((id_time or at) - _UUID_EPOCH) / timedelta(microseconds=1)) * 10
    parameters = {"thread": thread, "steps": steps, "ts": ts or at.isoformat(), "id": ticks, "size": size}
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        conn.execute(PLANT.encode(), parameters)
    return thread


def count(database: PostgresDatabase, thread: str) -> tuple[int, ...]:
    """Return how many rows each of the three tables has of a thread."""
    return tuple(
        database.execute(f"SELECT count(*) FROM {table} WHERE thread_id = %s", [thread])[0][0] for table in TABLES
    )


def uuid6_at(at: datetime) -> str:
    """Return a checkpoint's id as LangGraph makes it at a time."""
    ticks = int((at - _UUID_EPOCH) / timedelta(microseconds=1)) * 10
    digits = f"{ticks:015x}"
    return str(uuid.UUID(f"{digits[:12]}6{digits[12:]}8000{'0' * 12}"))
