-- What is removed of sessions that ended long ago. Every statement reads and writes a bounded number of rows, by a key.

-- For the transaction: no wait for anybody's lock, no waiting for the disk (what a crash undoes is done again), and no
-- sequential scan, which a database without statistics (restored a moment ago) would otherwise choose.

-- name: prepare
SELECT
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('synchronous_commit', 'off', true),
    set_config('enable_seqscan', 'off', true),
    set_config('plan_cache_mode', %(plan_cache_mode)s, true);

-- name: clock
SELECT clock_timestamp();

-- The next project with checkpoints of ended sessions: one probe of the index each.

-- name: projects
WITH RECURSIVE found (project_name) AS (
    (
        SELECT project_name FROM workflow_sessions
        WHERE completed_at IS NOT NULL AND checkpoints_kept <> 'none'
        ORDER BY project_name LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT project_name FROM workflow_sessions
        WHERE completed_at IS NOT NULL AND checkpoints_kept <> 'none' AND project_name > found.project_name
        ORDER BY project_name LIMIT 1
    )
    FROM found
    WHERE found.project_name IS NOT NULL
)
SELECT project_name FROM found WHERE project_name IS NOT NULL;

-- Sessions that ended before a time, oldest first, with what their last checkpoint says of its own time. That is text
-- which a workflow's code can write: it is not cast here, where nonsense would end the statement.

-- name: candidates
SELECT
    ended.session_uid, ended.project_name, ended.session_name, ended.thread_id, ended.completed_at, ended.updated_at,
    last.checkpoint_id, last.ts
FROM (
    SELECT session_uid, project_name, session_name, thread_id, completed_at, updated_at
    FROM workflow_sessions
    WHERE project_name = %(project_name)s
        AND checkpoints_kept = %(kept)s
        AND checkpoints_kept <> 'none'
        AND completed_at < %(before)s
        AND (%(workflow_name)s::text IS NULL OR workflow_name = %(workflow_name)s)
        AND (completed_at, session_uid) > (%(after_completed_at)s, %(after_session_uid)s)
    ORDER BY completed_at, session_uid
    LIMIT %(limit)s
) AS ended
LEFT JOIN LATERAL (
    SELECT checkpoint_id, left(checkpoint ->> 'ts', 64) AS ts
    FROM checkpoints
    WHERE thread_id = ended.thread_id AND checkpoint_ns = ''
    ORDER BY checkpoint_id DESC
    LIMIT 1
) AS last ON true
ORDER BY ended.completed_at, ended.session_uid;

-- The fences of those sessions that are still what they were. A runner that comes to life again after all this time is
-- refused from here on, and nobody can begin to write these threads before the transaction ends. A thread whose fence is
-- another session's is left alone.

-- name: take_fences
INSERT INTO thread_fences AS fence (thread_id, session_uid, session_created_at, epoch, run, holder)
SELECT thread_id, session_uid, created_at, nextval('thread_fence_epochs'), run, '(retention)'
FROM workflow_sessions
WHERE session_uid = ANY(%(uids)s) AND completed_at IS NOT NULL AND checkpoints_kept <> 'none'
ORDER BY thread_id
ON CONFLICT (thread_id) DO UPDATE SET epoch = excluded.epoch, holder = excluded.holder
    WHERE fence.session_uid = excluded.session_uid
RETURNING session_uid, thread_id;

-- After the fences: whoever deletes a session takes the locks in this order too.

-- name: lock_rows
SELECT session_uid
FROM workflow_sessions
WHERE session_uid = ANY(%(uids)s) AND completed_at IS NOT NULL AND checkpoints_kept <> 'none'
ORDER BY session_uid
FOR UPDATE;

-- name: delete_fences
DELETE FROM thread_fences WHERE thread_id = ANY(%(threads)s);

-- What was shown of their states goes with the checkpoints that it was of.

-- name: delete_values
DELETE FROM thread_values WHERE session_uid = ANY(%(uids)s);

-- name: mark
UPDATE workflow_sessions SET checkpoints_kept = %(kept)s WHERE session_uid = ANY(%(uids)s);

-- How many rows these sessions have in the table that has the most of each, by the indexes alone; counted up to a limit.

-- name: measure
SELECT session_uid, greatest(
    (SELECT count(*) FROM (SELECT FROM checkpoints WHERE thread_id = ended.thread_id LIMIT %(limit)s) AS found),
    (SELECT count(*) FROM (SELECT FROM checkpoint_writes WHERE thread_id = ended.thread_id LIMIT %(limit)s) AS found),
    (SELECT count(*) FROM (SELECT FROM checkpoint_blobs WHERE thread_id = ended.thread_id LIMIT %(limit)s) AS found),
    (SELECT count(*) FROM (SELECT FROM session_events WHERE session_uid = ended.session_uid LIMIT %(limit)s) AS found)
) AS rows
FROM workflow_sessions AS ended
WHERE session_uid = ANY(%(uids)s);

-- All rows of small sessions, which are looked for and deleted at once, and then a rest. Sizes are those of the stored
-- values: nothing large is read.

-- name: empty
WITH gone_checkpoints AS (
    DELETE FROM checkpoints WHERE thread_id = ANY(%(threads)s)
    RETURNING pg_column_size(checkpoint) + pg_column_size(metadata) AS size
),
gone_writes AS (
    DELETE FROM checkpoint_writes WHERE thread_id = ANY(%(threads)s) RETURNING pg_column_size(blob) AS size
),
gone_blobs AS (
    DELETE FROM checkpoint_blobs WHERE thread_id = ANY(%(threads)s) RETURNING coalesce(pg_column_size(blob), 0) AS size
),
gone_events AS (
    DELETE FROM session_events WHERE session_uid = ANY(%(uids)s) RETURNING pg_column_size(data) AS size
),
gone_values AS (
    DELETE FROM thread_values WHERE session_uid = ANY(%(uids)s)
),
gone_fences AS (
    DELETE FROM thread_fences WHERE thread_id = ANY(%(threads)s)
),
marked AS (
    UPDATE workflow_sessions SET checkpoints_kept = 'none' WHERE session_uid = ANY(%(uids)s)
)
SELECT
    checkpoints.rows AS checkpoints,
    writes.rows AS writes,
    blobs.rows AS blobs,
    events.rows AS events,
    checkpoints.bytes + writes.bytes + blobs.bytes + events.bytes AS bytes,
    pg_sleep(%(rest)s) AS rested
FROM
    (SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone_checkpoints) AS checkpoints,
    (SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone_writes) AS writes,
    (SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone_blobs) AS blobs,
    (SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone_events) AS events;

-- Up to `limit` rows of the threads. Checkpoints go oldest first: what is left of a thread then lacks its beginning, by
-- which a fork recognises it.

-- name: delete_checkpoints
WITH gone AS (
    DELETE FROM checkpoints
    WHERE ctid = ANY(ARRAY(
        SELECT found.place
        FROM unnest(%(threads)s::text[]) AS thread (id)
        CROSS JOIN LATERAL (
            SELECT ctid AS place FROM checkpoints
            WHERE thread_id = thread.id
            ORDER BY checkpoint_ns, checkpoint_id
            LIMIT %(limit)s
        ) AS found
        LIMIT %(limit)s
    ))
    RETURNING pg_column_size(checkpoint) + pg_column_size(metadata) AS size
)
SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone;

-- name: delete_blobs
WITH gone AS (
    DELETE FROM checkpoint_blobs
    WHERE ctid = ANY(ARRAY(
        SELECT found.place
        FROM unnest(%(threads)s::text[]) AS thread (id)
        CROSS JOIN LATERAL (
            SELECT ctid AS place FROM checkpoint_blobs WHERE thread_id = thread.id LIMIT %(limit)s
        ) AS found
        LIMIT %(limit)s
    ))
    RETURNING coalesce(pg_column_size(blob), 0) AS size
)
SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone;

-- name: delete_writes
WITH gone AS (
    DELETE FROM checkpoint_writes
    WHERE ctid = ANY(ARRAY(
        SELECT found.place
        FROM unnest(%(threads)s::text[]) AS thread (id)
        CROSS JOIN LATERAL (
            SELECT ctid AS place FROM checkpoint_writes WHERE thread_id = thread.id LIMIT %(limit)s
        ) AS found
        LIMIT %(limit)s
    ))
    RETURNING pg_column_size(blob) AS size
)
SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone;

-- name: delete_events
WITH gone AS (
    DELETE FROM session_events
    WHERE ctid = ANY(ARRAY(
        SELECT found.place
        FROM unnest(%(uids)s::text[]) AS ended (uid)
        CROSS JOIN LATERAL (
            SELECT ctid AS place FROM session_events WHERE session_uid = ended.uid LIMIT %(limit)s
        ) AS found
        LIMIT %(limit)s
    ))
    RETURNING pg_column_size(data) AS size
)
SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone;

-- The next threads after one, of all three tables: a probe of each primary key per thread, however many rows it has.

-- name: threads
WITH RECURSIVE found (thread_id, number) AS (
    SELECT %(after)s::text, 0
    UNION ALL
    SELECT
        (
            SELECT min(next.thread_id)
            FROM (
                (
                    SELECT thread_id FROM checkpoints WHERE thread_id > found.thread_id
                    ORDER BY thread_id LIMIT 1
                )
                UNION ALL
                (
                    SELECT thread_id FROM checkpoint_blobs WHERE thread_id > found.thread_id
                    ORDER BY thread_id LIMIT 1
                )
                UNION ALL
                (
                    SELECT thread_id FROM checkpoint_writes WHERE thread_id > found.thread_id
                    ORDER BY thread_id LIMIT 1
                )
            ) AS next
        ),
        found.number + 1
    FROM found
    WHERE found.thread_id IS NOT NULL AND found.number < %(limit)s
)
SELECT found.thread_id, fence.is_there AS is_fenced, last.checkpoint_id, last.ts
FROM found
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT 1 FROM thread_fences WHERE thread_fences.thread_id = found.thread_id) AS is_there
) AS fence
LEFT JOIN LATERAL (
    SELECT checkpoint_id, left(checkpoint ->> 'ts', 64) AS ts
    FROM checkpoints
    WHERE thread_id = found.thread_id AND checkpoint_ns = ''
    ORDER BY checkpoint_id DESC
    LIMIT 1
) AS last ON NOT fence.is_there
WHERE found.thread_id IS NOT NULL AND found.number > 0
ORDER BY found.thread_id;

-- A fence for as long as the transaction lasts: nobody can begin to write these threads meanwhile.

-- name: take_ownerless
INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder)
SELECT thread.id, '(retention)', nextval('thread_fence_epochs'), 0, '(retention)'
FROM unnest(%(threads)s::text[], %(projects)s::text[], %(names)s::text[]) AS thread (id, project_name, session_name)
WHERE NOT EXISTS (
    SELECT 1 FROM workflow_sessions AS known
    WHERE known.project_name = thread.project_name
        AND known.session_name = thread.session_name
        AND known.checkpoints_kept <> 'none'
)
ORDER BY thread.id
ON CONFLICT (thread_id) DO NOTHING
RETURNING thread_id;

-- Pruning. What the last checkpoint of each graph in a thread needs stays: that checkpoint, its blobs, its writes. The
-- rules are those of the library's own `aprune`, whose process this is not. A call of a subgraph (its namespace has a
-- task's id behind a ':') stays only where it was made from the checkpoint that stays.

-- name: heads
SELECT
    head.checkpoint_ns,
    head.checkpoint_id,
    last.metadata -> 'parents' ->> '' AS root,
    CASE WHEN (last.checkpoint ->> 'v') ~ '^[0-3]$' THEN last.parent_checkpoint_id END AS sends_parent,
    last.metadata ? 'counters_since_delta_snapshot' OR last.metadata ? 'delta_writes_versioned' OR EXISTS (
        SELECT 1
        FROM jsonb_each(last.checkpoint -> 'channel_values') AS value
        WHERE value.value = 'true'::jsonb AND EXISTS (
            SELECT 1 FROM checkpoint_blobs
            WHERE thread_id = %(thread_id)s
                AND checkpoint_ns = head.checkpoint_ns
                AND channel = value.key
                AND version = last.checkpoint -> 'channel_versions' ->> value.key
        )
    ) AS is_delta
FROM (
    SELECT DISTINCT ON (checkpoint_ns) checkpoint_ns, checkpoint_id
    FROM checkpoints
    WHERE thread_id = %(thread_id)s
    ORDER BY checkpoint_ns DESC, checkpoint_id DESC
) AS head
CROSS JOIN LATERAL (
    SELECT checkpoint, parent_checkpoint_id, metadata
    FROM checkpoints
    WHERE thread_id = %(thread_id)s AND checkpoint_ns = head.checkpoint_ns AND checkpoint_id = head.checkpoint_id
) AS last;

-- name: prune_checkpoints
WITH gone AS (
    DELETE FROM checkpoints
    WHERE ctid = ANY(ARRAY(
        SELECT ctid
        FROM checkpoints
        WHERE thread_id = %(thread_id)s
            AND (checkpoint_ns, checkpoint_id) NOT IN (
                SELECT kept.ns, kept.id FROM unnest(%(spaces)s::text[], %(ids)s::text[]) AS kept (ns, id)
            )
        ORDER BY checkpoint_ns, checkpoint_id
        LIMIT %(limit)s
    ))
    RETURNING pg_column_size(checkpoint) + pg_column_size(metadata) AS size
)
SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone;

-- name: prune_writes
WITH gone AS (
    DELETE FROM checkpoint_writes
    WHERE ctid = ANY(ARRAY(
        SELECT ctid
        FROM checkpoint_writes
        WHERE thread_id = %(thread_id)s
            AND (checkpoint_ns, checkpoint_id) NOT IN (
                SELECT kept.ns, kept.id FROM unnest(%(spaces)s::text[], %(ids)s::text[]) AS kept (ns, id)
            )
        LIMIT %(limit)s
    ))
    RETURNING pg_column_size(blob) AS size
)
SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone;

-- name: prune_blobs
WITH needed AS MATERIALIZED (
    SELECT checkpoints.checkpoint_ns, used.channel, used.version
    FROM checkpoints
    CROSS JOIN LATERAL jsonb_each_text(checkpoint -> 'channel_versions') AS used (channel, version)
    WHERE thread_id = %(thread_id)s
),
gone AS (
    DELETE FROM checkpoint_blobs
    WHERE ctid = ANY(ARRAY(
        SELECT ctid
        FROM checkpoint_blobs
        WHERE thread_id = %(thread_id)s
            AND (checkpoint_ns, channel, version) NOT IN (SELECT checkpoint_ns, channel, version FROM needed)
        LIMIT %(limit)s
    ))
    RETURNING coalesce(pg_column_size(blob), 0) AS size
)
SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS bytes FROM gone;

-- name: end_history
UPDATE checkpoints
SET parent_checkpoint_id = NULL
WHERE thread_id = %(thread_id)s
    AND (checkpoint_ns, checkpoint_id) IN (
        SELECT kept.ns, kept.id FROM unnest(%(spaces)s::text[], %(ids)s::text[]) AS kept (ns, id)
    )
    AND parent_checkpoint_id IS NOT NULL
    AND NOT parent_checkpoint_id = ANY(%(ids)s);

-- Items of the long-term store whose time is over. One that is read or written at this moment has another version, which
-- is not the row that was looked for.

-- name: expire
DELETE FROM store
WHERE ctid = ANY(ARRAY(
        SELECT ctid
        FROM store
        WHERE expires_at < now()
            AND CASE WHEN %(labels)s::text[] IS NULL
                THEN starts_with(prefix, 'project-')
                ELSE split_part(prefix, '.', 1) = ANY(%(labels)s)
            END
        ORDER BY expires_at
        LIMIT %(limit)s
    ))
    AND expires_at < now();
