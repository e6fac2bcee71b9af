-- Requests that somebody may send again under a key, and what they were answered. A row without a response is being
-- served, until it expires: then whoever served it is gone, and the same request may be served again.

-- name: begin
INSERT INTO gateway_idempotency AS known (username, route, key, request_digest, expires_at)
VALUES (%(username)s, %(route)s, %(key)s, %(digest)s, now() + make_interval(secs => %(seconds)s))
ON CONFLICT (username, route, key) DO UPDATE
SET request_digest = excluded.request_digest, response = NULL, created_at = now(), expires_at = excluded.expires_at
WHERE known.expires_at < now() AND (known.response IS NOT NULL OR known.request_digest = excluded.request_digest)
RETURNING true AS is_ours;

-- name: look
SELECT request_digest, response FROM gateway_idempotency
WHERE username = %(username)s AND route = %(route)s AND key = %(key)s;

-- name: finish
UPDATE gateway_idempotency
SET response = %(response)s::jsonb, expires_at = now() + make_interval(secs => %(seconds)s)
WHERE username = %(username)s AND route = %(route)s AND key = %(key)s AND request_digest = %(digest)s
    AND response IS NULL;

-- name: forget
DELETE FROM gateway_idempotency
WHERE username = %(username)s AND route = %(route)s AND key = %(key)s AND request_digest = %(digest)s
    AND response IS NULL;
