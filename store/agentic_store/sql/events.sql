-- The event log.

-- No rows where the session is gone, or another tenant's. The hint says that something happened, and to whoever knows the
-- session also where: every role of the database may listen.

-- name: append
WITH added AS (
    INSERT INTO session_events (session_uid, seq, run, at, type, data)
    SELECT
        %(session_uid)s,
        coalesce((SELECT max(seq) FROM session_events WHERE session_uid = %(session_uid)s), 0) + new.place,
        %(run)s,
        coalesce(new.at, now()),
        new.type,
        new.data::jsonb
    FROM unnest(%(types)s::text[], %(data)s::text[], %(times)s::timestamptz[])
        WITH ORDINALITY AS new (type, data, at, place)
    WHERE EXISTS (SELECT 1 FROM workflow_sessions WHERE session_uid = %(session_uid)s)
    RETURNING seq
)
SELECT max(seq) AS seq, pg_notify('agentic_session_events', %(hint)s) FROM added HAVING count(*) > 0;

-- name: read
SELECT session_uid, seq, run, at, type, data
FROM session_events
WHERE session_uid = %(session_uid)s AND seq > %(after)s
ORDER BY seq
LIMIT %(limit)s;

-- name: listen
LISTEN agentic_session_events;
