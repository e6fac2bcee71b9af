-- The event log.

-- No rows where the session is gone, or another tenant's.

-- Numbers as event_numbers.py says: after the highest of the table and the highest that the writer knows of. Where rows are
-- missing between the two, the first new row tells so.

-- name: append
WITH known AS (
    SELECT coalesce(max(seq), 0) AS seq FROM session_events WHERE session_uid = %(session_uid)s
),
new (place, type, data, at, turn) AS (
    SELECT
        0,
        'gap',
        jsonb_build_object('from', seq + 1, 'to', %(floor)s::bigint, 'reason', 'lost')::text,
        NULL,
        (%(turns)s::integer[])[1]
    FROM known
    WHERE seq < %(floor)s
    UNION ALL
    SELECT place, type, data, at, turn
    FROM unnest(%(types)s::text[], %(data)s::text[], %(times)s::timestamptz[], %(turns)s::integer[])
        WITH ORDINALITY AS given (type, data, at, turn, place)
),
added AS (
    INSERT INTO session_events (session_uid, seq, run, at, type, data, turn)
    SELECT
        %(session_uid)s,
        greatest((SELECT seq FROM known), %(floor)s) + row_number() OVER (ORDER BY place),
        %(run)s,
        coalesce(at, now()),
        type,
        data::jsonb,
        turn
    FROM new
    WHERE EXISTS (SELECT 1 FROM workflow_sessions WHERE session_uid = %(session_uid)s)
    RETURNING seq
)
SELECT max(seq) AS seq FROM added HAVING count(*) > 0;

-- The hint says that something happened, and to whoever knows the session also where: every role of the database may
-- listen. Nobody watches: nothing is sent.

-- name: notify_watchers
SELECT pg_notify('agentic_session_events', hint) FROM event_interest WHERE hint = %(hint)s AND until > now();

-- name: state_interest
INSERT INTO event_interest (hint, until)
SELECT hint, now() + make_interval(secs => %(seconds)s) FROM unnest(%(hints)s::text[]) AS hint
ON CONFLICT (hint) DO UPDATE SET until = greatest(event_interest.until, excluded.until);

-- Rows are what a pod's own code wrote: ten bytes of jsonb may be a number of 100,000 digits, and a time may be infinite.
-- What nobody can be shown is told as that, so that the rows after it still come.

-- name: read
SELECT
    session_uid,
    seq,
    run,
    least(greatest(at, timestamptz '1970-01-01 00:00:00Z'), timestamptz '9999-01-01 00:00:00Z') AS at,
    left(type, 64) AS type,
    CASE
        WHEN jsonb_typeof(data) <> 'object' THEN jsonb_build_object('message', 'this event holds no object and is not shown')
        WHEN octet_length(data::text) > 1048576 THEN jsonb_build_object('message', 'this event is over 1 MiB and is not shown')
        ELSE data
    END AS data,
    turn,
    since
FROM session_events
WHERE session_uid = %(session_uid)s AND seq > %(after)s
ORDER BY seq
LIMIT %(limit)s;

-- name: last
SELECT coalesce(max(seq), 0) AS seq FROM session_events WHERE session_uid = %(session_uid)s;

-- name: listen
LISTEN agentic_session_events;
