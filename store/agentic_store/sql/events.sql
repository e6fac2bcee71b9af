-- The event log.

-- name: lock
SELECT pg_advisory_xact_lock(%(class)s, hashtext(%(session_uid)s));

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
    RETURNING seq
)
SELECT max(seq) AS seq, pg_notify('agentic_session_events', %(session_uid)s) FROM added;

-- name: read
SELECT session_uid, seq, run, at, type, data
FROM session_events
WHERE session_uid = %(session_uid)s AND seq > %(after)s
ORDER BY seq
LIMIT %(limit)s;

-- name: listen
LISTEN agentic_session_events;
