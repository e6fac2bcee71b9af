-- Who is logged in at the gateway by a browser.

-- name: add
INSERT INTO gateway_logins (hash, username, sealed, expires_at)
VALUES (%(hash)s, %(username)s, %(sealed)s, now() + make_interval(secs => %(seconds)s));

-- name: get
SELECT hash, username, sealed, version, created_at, expires_at
FROM gateway_logins
WHERE hash = %(hash)s AND expires_at > now();

-- A refresh token serves once: a second use ends the log-in at many providers. So one replica refreshes, and the others
-- wait for the next version. The claim ends by itself, for a replica that died with it.

-- name: claim_refresh
UPDATE gateway_logins
SET refreshing_until = now() + make_interval(secs => %(seconds)s)
WHERE hash = %(hash)s AND version = %(version)s AND coalesce(refreshing_until, '-infinity') <= now();

-- name: replace
UPDATE gateway_logins
SET sealed = %(sealed)s, version = version + 1, refreshing_until = NULL
WHERE hash = %(hash)s AND version = %(version)s;

-- name: remove
DELETE FROM gateway_logins WHERE hash = %(hash)s;
