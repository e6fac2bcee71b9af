-- Upkeep of the event log: messages are joined, and logs that are too long lose their beginning. Each statement reads and
-- writes a bounded number of rows.

-- What a crash undoes is done again, so nobody waits for the disk. No sequential scan, which a database without statistics
-- would choose.

-- name: prepare
SELECT
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('synchronous_commit', 'off', true),
    set_config('enable_seqscan', 'off', true);

-- The next turns with messages that are not joined, and that ended long enough ago, by the index of beginnings: a probe each.

-- name: due
WITH RECURSIVE found (session_uid, turn) AS (
    (
        SELECT session_uid, turn FROM session_events
        WHERE type = 'message-start' AND (session_uid, turn) > (%(after_uid)s, %(after_turn)s)
        ORDER BY session_uid, turn
        LIMIT 1
    )
    UNION ALL
    SELECT next.session_uid, next.turn
    FROM found
    CROSS JOIN LATERAL (
        SELECT session_uid, turn FROM session_events
        WHERE type = 'message-start' AND (session_uid, turn) > (found.session_uid, found.turn)
        ORDER BY session_uid, turn
        LIMIT 1
    ) AS next
)
SELECT
    found.session_uid,
    found.turn,
    s.project_name,
    s.completed_at < now() - make_interval(secs => %(seconds)s) IS TRUE
        OR EXISTS (
            SELECT 1 FROM session_turns AS t
            WHERE t.session_uid = found.session_uid
                AND t.number = found.turn
                AND t.finished_at < now() - make_interval(secs => %(seconds)s)
        ) AS is_due
FROM found
JOIN workflow_sessions AS s USING (session_uid)
LIMIT %(limit)s;

-- One upkeep of a log at a time, and none beside its removal. Writers of events only need that the row is there, and do
-- not wait.

-- name: lock
SELECT 1 FROM workflow_sessions WHERE session_uid = %(session_uid)s FOR NO KEY UPDATE SKIP LOCKED;

-- The rows of a turn's messages, oldest first. What is far larger than any part of a message has its content left out.

-- name: parts
WITH parts AS (
    SELECT seq, run, type, since, data, octet_length(data::text) AS size
    FROM session_events
    WHERE session_uid = %(session_uid)s
        AND turn = %(turn)s
        AND type = ANY(%(types)s)
        AND seq >= (
            SELECT min(seq) FROM session_events
            WHERE session_uid = %(session_uid)s AND turn = %(turn)s AND type = 'message-start'
        )
    ORDER BY seq
    LIMIT %(limit)s
),
bounded AS (
    SELECT *, sum(least(size, 262144)) OVER (ORDER BY seq) AS total, row_number() OVER (ORDER BY seq) AS place FROM parts
)
SELECT
    p.seq,
    p.run,
    p.type,
    p.since,
    CASE WHEN p.size <= 262144 AND jsonb_typeof(p.data) = 'object' THEN p.data ELSE '{}' END AS data,
    p.size > 262144 AND p.type <> 'message-start' AS is_too_large,
    CASE WHEN next.seq = p.seq + 1 OR next.since <= p.seq + 1 THEN next.seq END AS next,
    (SELECT count(*) >= %(limit)s OR max(total) > %(bytes)s FROM bounded) AS has_more
FROM bounded AS p
LEFT JOIN LATERAL (
    SELECT seq, since FROM session_events
    WHERE session_uid = %(session_uid)s AND seq > p.seq
    ORDER BY seq
    LIMIT 1
) AS next ON true
WHERE p.total <= %(bytes)s OR p.place <= 2
ORDER BY p.seq;

-- name: remove
DELETE FROM session_events WHERE session_uid = %(session_uid)s AND seq = ANY(%(seqs)s);

-- name: join
UPDATE session_events AS kept
SET type = 'message', data = joined.data::jsonb
FROM unnest(%(seqs)s::bigint[], %(data)s::text[]) AS joined (seq, data)
WHERE kept.session_uid = %(session_uid)s AND kept.seq = joined.seq;

-- name: mark_joined
UPDATE session_events AS kept
SET since = joined.since
FROM unnest(%(seqs)s::bigint[], %(since)s::bigint[]) AS joined (seq, since)
WHERE kept.session_uid = %(session_uid)s AND kept.seq = joined.seq;

-- Sessions whose log may have grown: those that have not ended, or only lately. Numbers bound how many rows there are.

-- name: logs
SELECT s.session_uid, s.project_name, first.seq AS first, last.seq AS last
FROM workflow_sessions AS s
CROSS JOIN LATERAL (SELECT seq FROM session_events WHERE session_uid = s.session_uid ORDER BY seq LIMIT 1) AS first
CROSS JOIN LATERAL (SELECT seq FROM session_events WHERE session_uid = s.session_uid ORDER BY seq DESC LIMIT 1) AS last
WHERE s.session_uid > %(after)s
    AND (s.completed_at IS NULL OR s.completed_at > now() - make_interval(secs => %(seconds)s))
ORDER BY s.session_uid
LIMIT %(limit)s;

-- name: weigh
SELECT count(*) AS rows, coalesce(sum(pg_column_size(data) + 64), 0)::bigint AS bytes
FROM session_events
WHERE session_uid = %(session_uid)s AND seq > %(after)s;

-- Where the beginning of a log ends that is too long: the newest row that has to go. The newest of all stays, because the
-- numbers go on after it.

-- name: find_cut
WITH newest AS (
    SELECT seq, pg_column_size(data) + 64 AS size
    FROM session_events
    WHERE session_uid = %(session_uid)s
    ORDER BY seq DESC
    LIMIT %(rows)s
),
weighed AS (
    SELECT seq, sum(size) OVER (ORDER BY seq DESC) AS bytes, row_number() OVER (ORDER BY seq DESC) AS place FROM newest
)
SELECT greatest(
    (SELECT max(seq) FROM weighed WHERE bytes > %(bytes)s AND place > 1),
    (
        SELECT seq FROM session_events
        WHERE session_uid = %(session_uid)s AND seq < (SELECT min(seq) FROM newest)
        ORDER BY seq DESC
        LIMIT 1
    )
) AS cut;

-- name: trim
WITH old AS (
    SELECT seq, since, type, data
    FROM session_events
    WHERE session_uid = %(session_uid)s AND seq <= %(cut)s
    ORDER BY seq
    LIMIT %(limit)s
),
bounds AS (
    SELECT
        -- What was removed before goes into the same gap.
        (
            SELECT CASE
                WHEN type = 'gap' AND data ->> 'reason' = 'limit' AND jsonb_typeof(data -> 'from') = 'number'
                    THEN least((data ->> 'from')::numeric, seq)::bigint
                ELSE least(since, seq)
            END
            FROM old ORDER BY seq LIMIT 1
        ) AS first,
        max(seq) AS last,
        count(*) AS rows
    FROM old
),
gone AS (
    DELETE FROM session_events AS e
    USING bounds
    WHERE e.session_uid = %(session_uid)s AND e.seq < bounds.last
    RETURNING 1
),
told AS (
    UPDATE session_events AS e
    SET type = 'gap',
        since = NULL,
        data = jsonb_build_object('from', bounds.first, 'to', bounds.last, 'reason', 'limit')
    FROM bounds
    WHERE e.session_uid = %(session_uid)s AND e.seq = bounds.last
    RETURNING e.seq
)
SELECT (SELECT count(*) FROM gone) AS rows, (SELECT seq FROM told) AS last;
