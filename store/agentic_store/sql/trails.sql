-- The trail of answers.

-- name: limit_locks
SELECT set_config('lock_timeout', '5s', true);

-- name: add
INSERT INTO session_answers (session_uid, seq, project_name, session_name, entry, hash, value, message)
SELECT *
FROM unnest(
    %(uids)s::text[], %(seqs)s::bigint[], %(projects)s::text[], %(names)s::text[], %(entries)s::text[],
    %(hashes)s::text[], %(values)s::text[], %(messages)s::text[]
)
ON CONFLICT (session_uid, seq) DO NOTHING;

-- name: others
SELECT known.session_uid, min(known.seq) AS seq
FROM unnest(%(uids)s::text[], %(seqs)s::bigint[], %(hashes)s::text[]) AS new (session_uid, seq, hash)
JOIN session_answers AS known USING (session_uid, seq)
WHERE known.hash <> new.hash
GROUP BY known.session_uid;

-- name: remove
SELECT agentic_remove_answers(%(projects)s::text[], %(days)s, %(most)s);

-- name: export
SELECT project_name, session_name, session_uid, seq, entry, hash, value, message
FROM session_answers
WHERE (%(projects)s::text[] IS NULL OR project_name = ANY (%(projects)s::text[]))
    AND (%(sessions)s::text[] IS NULL OR session_name = ANY (%(sessions)s::text[]))
    AND (
        %(since)s::timestamptz IS NULL
        OR session_uid IN (SELECT session_uid FROM session_answers WHERE stored_at >= %(since)s::timestamptz)
    )
ORDER BY project_name, session_name, session_uid, seq;
