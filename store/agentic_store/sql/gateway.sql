-- What a gateway asks for.

-- For the transaction that is on, and no longer: behind a pooler the next one may be somebody else's.

-- name: enter_namespace
SELECT set_config('agentic.namespace', %(namespace)s, true);

-- Expired long enough ago that no clock's difference makes it count again.

-- name: remove_expired
WITH tickets AS (
    DELETE FROM gateway_tickets WHERE expires_at < now() - interval '1 minute' RETURNING 1
),
logins AS (
    DELETE FROM gateway_logins WHERE expires_at < now() - interval '1 minute' RETURNING 1
),
answers AS (
    DELETE FROM gateway_idempotency WHERE expires_at < now() - interval '1 minute' RETURNING 1
),
interest AS (
    DELETE FROM event_interest WHERE until < now() - interval '1 minute' RETURNING 1
)
SELECT (SELECT count(*) FROM tickets) + (SELECT count(*) FROM logins) + (SELECT count(*) FROM answers)
    + (SELECT count(*) FROM interest) AS removed;

-- NULL where the session is gone, or another namespace's.

-- name: append_events
SELECT agentic_append_events(
    %(namespace)s, %(session_uid)s, %(run)s::integer, %(types)s::text[], %(data)s::text[], %(floor)s::bigint
) AS seq;

-- name: waiting_namespaces
SELECT agentic_waiting_namespaces(%(most)s) AS namespace;
