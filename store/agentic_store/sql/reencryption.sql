-- Rows whose contents are not encrypted with the wanted key, page by page along their primary keys, and their
-- replacement where nobody changed or deleted them meanwhile. A cipher stands behind a plus sign in a value's type.

-- name: blobs
SELECT thread_id, checkpoint_ns, channel, version, type, blob
FROM checkpoint_blobs
WHERE (thread_id, checkpoint_ns, channel, version) > (%s, %s, %s, %s)
    AND type <> 'empty'
    AND split_part(type, '+', 2) <> %s
ORDER BY thread_id, checkpoint_ns, channel, version
LIMIT %s;

-- name: replace_blob
UPDATE checkpoint_blobs SET type = %s, blob = %s
WHERE thread_id = %s AND checkpoint_ns = %s AND channel = %s AND version = %s AND type = %s;

-- name: writes
SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, idx, type, blob
FROM checkpoint_writes
WHERE (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) > (%s, %s, %s, %s, %s)
    AND split_part(coalesce(type, ''), '+', 2) <> %s
ORDER BY thread_id, checkpoint_ns, checkpoint_id, task_id, idx
LIMIT %s;

-- name: replace_write
UPDATE checkpoint_writes SET type = %s, blob = %s
WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s AND task_id = %s AND idx = %s AND type = %s;

-- Values that stand in the checkpoint itself; `true` beside a blob says only that there is one.

-- name: checkpoints
SELECT
    c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.metadata, c.checkpoint -> 'channel_versions' AS versions,
    (
        SELECT coalesce(jsonb_object_agg(inline.key, inline.value), '{}')
        FROM jsonb_each(c.checkpoint -> 'channel_values') AS inline
        WHERE inline.value <> 'null'
            AND NOT (
                inline.value = 'true'
                AND EXISTS (
                    SELECT 1
                    FROM checkpoint_blobs AS b
                    WHERE b.thread_id = c.thread_id
                        AND b.checkpoint_ns = c.checkpoint_ns
                        AND b.channel = inline.key
                        AND b.version = c.checkpoint -> 'channel_versions' ->> inline.key
                )
            )
    ) AS inline
FROM checkpoints AS c
WHERE (c.thread_id, c.checkpoint_ns, c.checkpoint_id) > (%s, %s, %s)
ORDER BY c.thread_id, c.checkpoint_ns, c.checkpoint_id
LIMIT %s;

-- name: add_blob
INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING;

-- name: replace_checkpoint
UPDATE checkpoints
SET metadata = %s,
    checkpoint = jsonb_set(checkpoint, '{channel_values}', ((checkpoint -> 'channel_values') - %s::text[]) || %s)
WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s AND metadata = %s;

-- name: items
SELECT prefix, key, value
FROM store
WHERE (prefix, key) > (%s, %s) AND split_part(split_part(coalesce(value ->> 'agentic_sealed', ''), ':', 2), '+', 2) <> %s
ORDER BY prefix, key
LIMIT %s;

-- name: replace_item
UPDATE store SET value = %s WHERE prefix = %s AND key = %s AND value = %s;
