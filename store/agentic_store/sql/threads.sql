-- The rows that LangGraph's saver keeps of a thread.

-- name: purge_checkpoints
DELETE FROM checkpoints WHERE thread_id = ANY(%(threads)s);

-- name: purge_blobs
DELETE FROM checkpoint_blobs WHERE thread_id = ANY(%(threads)s);

-- name: purge_writes
DELETE FROM checkpoint_writes WHERE thread_id = ANY(%(threads)s);

-- A thread's checkpoints as a person reads them, newest first. Nothing of a user's is deserialized: a node that wrote is
-- one whose seen versions changed since the parent, a node that comes next has its trigger set, or has left writes.

-- name: list
SELECT
    c.checkpoint_id,
    c.parent_checkpoint_id,
    (c.metadata ->> 'step')::int AS step,
    coalesce(c.metadata ->> 'source', '') AS source,
    (c.checkpoint ->> 'ts')::timestamptz AS at,
    CASE WHEN c.parent_checkpoint_id IS NULL OR p.checkpoint_id IS NOT NULL THEN ARRAY(
        SELECT seen.key
        FROM jsonb_each(c.checkpoint -> 'versions_seen') AS seen
        WHERE left(seen.key, 2) <> '__' AND seen.value IS DISTINCT FROM p.checkpoint -> 'versions_seen' -> seen.key
        ORDER BY seen.key
    ) ELSE ARRAY[]::text[] END AS nodes,
    ARRAY(
        SELECT substr(trigger, 11)
        FROM jsonb_object_keys(c.checkpoint -> 'channel_values') AS trigger
        WHERE left(trigger, 10) = 'branch:to:'
        UNION
        SELECT substring(w.task_path FROM '^~?__pregel_pull, (.+)$')
        FROM checkpoint_writes AS w
        WHERE w.thread_id = c.thread_id
            AND w.checkpoint_ns = ''
            AND w.checkpoint_id = c.checkpoint_id
            AND w.task_path ~ '^~?__pregel_pull, '
        ORDER BY 1
    ) AS next,
    EXISTS (
        SELECT 1
        FROM checkpoint_writes AS w
        WHERE w.thread_id = c.thread_id
            AND w.checkpoint_ns = ''
            AND w.checkpoint_id = c.checkpoint_id
            AND w.channel = '__interrupt__'
    ) AS is_interrupted,
    c.metadata -> 'agentic_fork' ->> 'thread' AS forked_from
FROM (
    SELECT thread_id, checkpoint_id, parent_checkpoint_id, checkpoint, metadata
    FROM checkpoints
    WHERE thread_id = %(thread_id)s
        AND checkpoint_ns = ''
        AND (%(before)s::text IS NULL OR checkpoint_id < %(before)s)
    ORDER BY checkpoint_id DESC
    LIMIT %(limit)s
) AS c
LEFT JOIN checkpoints AS p
    ON p.thread_id = c.thread_id AND p.checkpoint_ns = '' AND p.checkpoint_id = c.parent_checkpoint_id
ORDER BY c.checkpoint_id DESC;

-- The checkpoint that a thread was forked at: one row, marked when it was copied.

-- name: forked
SELECT
    checkpoint_id,
    metadata -> 'agentic_fork' ->> 'thread' AS source,
    (metadata -> 'agentic_fork' ->> 'is_past')::boolean AS is_past
FROM checkpoints
WHERE thread_id = %(target)s AND checkpoint_ns = '' AND metadata -> 'agentic_fork' IS NOT NULL;

-- name: has_rows
SELECT EXISTS (SELECT 1 FROM checkpoints WHERE thread_id = %(target)s) AS has_rows;

-- One statement, so one snapshot of a source that may go on meanwhile, and all or nothing. Rows are looked up by their
-- primary keys (LATERAL … LIMIT 1): joins of a thread's rows are planned from estimates that a large thread makes wrong.
--
-- `wanted` is the chosen checkpoint with its ancestors, and what subgraphs saved below these. The super-step after the
-- chosen checkpoint (its writes, and what subgraphs saved in it) comes along only where the copy continues it.

-- name: copy
WITH RECURSIVE newest AS MATERIALIZED (
    SELECT checkpoint_id, parent_checkpoint_id
    FROM checkpoints
    WHERE thread_id = %(source)s
        AND checkpoint_ns = ''
        AND (%(checkpoint_id)s::text IS NULL OR checkpoint_id = %(checkpoint_id)s)
    ORDER BY checkpoint_id DESC
    LIMIT 1
),
chosen AS MATERIALIZED (
    SELECT newest.checkpoint_id, newest.parent_checkpoint_id, child.is_past, NOT (child.is_past OR %(changes)s) AS goes_on
    FROM newest
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT 1
            FROM checkpoints
            WHERE thread_id = %(source)s
                AND checkpoint_ns = ''
                AND parent_checkpoint_id = newest.checkpoint_id
        ) AS is_past
    ) AS child
),
chain (checkpoint_id, parent_checkpoint_id) AS (
    SELECT checkpoint_id, parent_checkpoint_id FROM chosen
    UNION ALL
    SELECT parent.checkpoint_id, parent.parent_checkpoint_id
    FROM chain
    CROSS JOIN LATERAL (
        SELECT checkpoint_id, parent_checkpoint_id
        FROM checkpoints
        WHERE thread_id = %(source)s AND checkpoint_ns = '' AND checkpoint_id = chain.parent_checkpoint_id
        LIMIT 1
    ) AS parent
),
-- A thread that retention is at work on has lost its beginning: nothing is copied of it.
whole AS MATERIALIZED (
    SELECT chosen.checkpoint_id, chosen.is_past, chosen.goes_on
    FROM chosen
    WHERE EXISTS (SELECT 1 FROM chain WHERE parent_checkpoint_id IS NULL)
),
wanted AS MATERIALIZED (
    SELECT
        '' AS checkpoint_ns,
        chain.checkpoint_id,
        chosen.goes_on OR chain.checkpoint_id <> chosen.checkpoint_id AS with_writes,
        chain.checkpoint_id = chosen.checkpoint_id AS is_chosen
    FROM chain
    CROSS JOIN whole AS chosen
    UNION ALL
    SELECT below.checkpoint_ns, below.checkpoint_id, true, false
    FROM checkpoints AS below
    CROSS JOIN whole AS chosen
    WHERE below.thread_id = %(source)s
        AND below.checkpoint_ns <> ''
        AND below.metadata -> 'parents' ->> '' IN (SELECT checkpoint_id FROM chain)
        AND (chosen.goes_on OR below.metadata -> 'parents' ->> '' <> chosen.checkpoint_id)
),
copied AS (
    INSERT INTO checkpoints (
        thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
    )
    SELECT
        %(target)s, wanted.checkpoint_ns, wanted.checkpoint_id, original.parent_checkpoint_id, original.type,
        original.checkpoint,
        CASE WHEN wanted.is_chosen
            THEN original.metadata - 'agentic_turn' || jsonb_build_object(
                'agentic_fork',
                jsonb_build_object('thread', %(source)s::text, 'is_past', (SELECT is_past FROM chosen))
            )
            ELSE original.metadata - '{agentic_fork,agentic_turn}'::text[]
        END
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT parent_checkpoint_id, type, checkpoint, metadata
        FROM checkpoints
        WHERE thread_id = %(source)s
            AND checkpoint_ns = wanted.checkpoint_ns
            AND checkpoint_id = wanted.checkpoint_id
        LIMIT 1
    ) AS original
),
copied_blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT %(target)s, needed.checkpoint_ns, needed.channel, needed.version, original.type, original.blob
    FROM (
        SELECT DISTINCT wanted.checkpoint_ns, used.channel, used.version
        FROM wanted
        CROSS JOIN LATERAL (
            SELECT checkpoint -> 'channel_versions' AS versions
            FROM checkpoints
            WHERE thread_id = %(source)s
                AND checkpoint_ns = wanted.checkpoint_ns
                AND checkpoint_id = wanted.checkpoint_id
            LIMIT 1
        ) AS original
        CROSS JOIN LATERAL jsonb_each_text(original.versions) AS used (channel, version)
    ) AS needed
    CROSS JOIN LATERAL (
        SELECT type, blob
        FROM checkpoint_blobs
        WHERE thread_id = %(source)s
            AND checkpoint_ns = needed.checkpoint_ns
            AND channel = needed.channel
            AND version = needed.version
        LIMIT 1
    ) AS original
),
copied_writes AS (
    INSERT INTO checkpoint_writes (
        thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
    )
    SELECT
        %(target)s, wanted.checkpoint_ns, wanted.checkpoint_id, original.task_id, original.idx, original.channel,
        original.type, original.blob, original.task_path
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT task_id, idx, channel, type, blob, task_path
        FROM checkpoint_writes
        WHERE thread_id = %(source)s
            AND checkpoint_ns = wanted.checkpoint_ns
            AND checkpoint_id = wanted.checkpoint_id
        OFFSET 0
    ) AS original
    WHERE wanted.with_writes
)
SELECT checkpoint_id, %(source)s::text AS source, is_past FROM whole;
