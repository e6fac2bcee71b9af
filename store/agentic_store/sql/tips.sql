-- The end of a thread. Ids of checkpoints are time-ordered: the newest of a thread is the greatest, subgraphs' included.

-- name: tip
SELECT
    (SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = %(thread_id)s) AS newest,
    latest.checkpoint_id AS latest,
    latest.step AS step,
    %(known)s::text IS NULL OR EXISTS (
        SELECT 1
        FROM checkpoints
        WHERE thread_id = %(thread_id)s AND checkpoint_ns = '' AND checkpoint_id = %(known)s
    ) AS has_known
FROM (SELECT 1) AS always
LEFT JOIN LATERAL (
    SELECT checkpoint_id, (metadata ->> 'step')::int AS step
    FROM checkpoints
    WHERE thread_id = %(thread_id)s AND checkpoint_ns = ''
    ORDER BY checkpoint_id DESC
    LIMIT 1
) AS latest ON true;
