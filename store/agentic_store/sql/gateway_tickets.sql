-- Tickets for streams and links, each taken once.

-- name: add
INSERT INTO gateway_tickets (hash, username, namespace, session_name, session_uid, channel, sealed, expires_at)
VALUES (
    %(hash)s, %(username)s, %(namespace)s, %(session_name)s, %(session_uid)s, %(channel)s, %(sealed)s,
    now() + make_interval(secs => %(seconds)s)
);

-- The delete decides who has it: of two replicas with one ticket, the second finds no row.

-- name: take
WITH taken AS (
    DELETE FROM gateway_tickets WHERE hash = %(hash)s
    RETURNING hash, username, namespace, session_name, session_uid, channel, sealed, expires_at
)
SELECT hash, username, namespace, session_name, session_uid, channel, sealed FROM taken WHERE expires_at > now();
