-- The record of sessions. Statuses that may precede a new one are a parameter: the lifecycle table is in Python.

-- name: older
SELECT known.session_uid
FROM unnest(%(projects)s::text[], %(names)s::text[], %(uids)s::text[], %(times)s::timestamptz[])
    AS new (project_name, session_name, session_uid, created_at)
JOIN workflow_sessions AS known USING (project_name, session_name)
WHERE known.session_uid <> new.session_uid AND known.created_at <= new.created_at;

-- name: delete_rows
DELETE FROM workflow_sessions WHERE session_uid = ANY(%(uids)s) RETURNING session_uid;

-- name: record
INSERT INTO workflow_sessions AS known (
    session_uid, project_name, session_name, workflow_name, status, input_data, error, thread_id, run,
    created_at, started_at, completed_at
) VALUES (
    %(session_uid)s, %(project_name)s, %(session_name)s, %(workflow_name)s, %(status)s, %(input_data)s::jsonb,
    %(error)s::jsonb, %(thread_id)s, %(run)s, %(created_at)s, %(started_at)s,
    CASE WHEN %(is_final)s THEN coalesce(%(completed_at)s, now()) END
)
ON CONFLICT (project_name, session_name) DO UPDATE SET
    workflow_name = excluded.workflow_name,
    status = excluded.status,
    input_data = excluded.input_data,
    error = excluded.error,
    thread_id = excluded.thread_id,
    run = excluded.run,
    started_at = coalesce(known.started_at, excluded.started_at),
    completed_at = excluded.completed_at,
    updated_at = now()
WHERE known.session_uid = excluded.session_uid
    AND known.run <= excluded.run
    AND known.status = ANY(%(sources)s)
    -- An update that changes nothing would still write the row, its large columns' pointers and both indexes.
    AND (known.workflow_name, known.status, known.input_data, known.error, known.thread_id, known.run, known.started_at)
        IS DISTINCT FROM (
            excluded.workflow_name, excluded.status, excluded.input_data, excluded.error, excluded.thread_id,
            excluded.run, coalesce(known.started_at, excluded.started_at)
        );

-- name: start_run
UPDATE workflow_sessions
SET status = %(status)s, run = %(run)s, started_at = coalesce(started_at, now()), updated_at = now()
WHERE session_uid = %(session_uid)s AND run <= %(run)s AND status = ANY(%(sources)s);

-- name: change_status
UPDATE workflow_sessions
SET status = %(status)s, run = %(run)s, updated_at = now()
WHERE session_uid = %(session_uid)s AND run <= %(run)s AND status = ANY(%(sources)s);

-- name: finish
UPDATE workflow_sessions
SET status = %(status)s,
    run = %(run)s,
    output_data = %(output)s::jsonb,
    error = %(error)s::jsonb,
    completed_at = now(),
    updated_at = now()
WHERE session_uid = %(session_uid)s AND run <= %(run)s AND status = ANY(%(sources)s);

-- name: state
SELECT status, run FROM workflow_sessions WHERE session_uid = %(session_uid)s;

-- name: get
SELECT
    session_uid, project_name, session_name, workflow_name, workflow_version, status, input_data,
    CASE WHEN %(with_output)s THEN output_data END AS output_data,
    error, thread_id, run, created_at, started_at, updated_at, completed_at
FROM workflow_sessions
WHERE session_uid = %(session_uid)s;

-- name: find
SELECT
    session_uid, project_name, session_name, workflow_name, workflow_version, status, input_data,
    CASE WHEN %(with_output)s THEN output_data END AS output_data,
    error, thread_id, run, created_at, started_at, updated_at, completed_at
FROM workflow_sessions
WHERE project_name = %(project_name)s AND session_name = %(session_name)s;

-- name: list_first
SELECT
    session_uid, project_name, session_name, workflow_name, workflow_version, status, error, thread_id, run,
    created_at, started_at, updated_at, completed_at
FROM workflow_sessions
WHERE project_name = %(project_name)s
ORDER BY created_at DESC, session_name DESC
LIMIT %(limit)s;

-- name: list_next
SELECT
    session_uid, project_name, session_name, workflow_name, workflow_version, status, error, thread_id, run,
    created_at, started_at, updated_at, completed_at
FROM workflow_sessions
WHERE project_name = %(project_name)s
    AND (created_at, session_name) < (%(created_at)s, %(session_name)s)
ORDER BY created_at DESC, session_name DESC
LIMIT %(limit)s;

-- Deleting a session: the fence first, in one transaction with the rest, so that its writer is refused and no write in
-- flight survives the purge.

-- name: delete_fence
DELETE FROM thread_fences WHERE session_uid = %(session_uid)s RETURNING thread_id;

-- name: delete_row
DELETE FROM workflow_sessions WHERE session_uid = %(session_uid)s RETURNING thread_id;

-- name: free_threads
SELECT thread_id
FROM unnest(%(threads)s::text[]) AS thread_id
WHERE NOT EXISTS (SELECT 1 FROM thread_fences WHERE thread_fences.thread_id = thread_id.thread_id);

-- name: uids
SELECT session_uid FROM workflow_sessions UNION SELECT session_uid FROM thread_fences;

-- name: orphans
SELECT session_uid
FROM (
    SELECT session_uid, updated_at AS touched_at FROM workflow_sessions
    UNION ALL
    SELECT session_uid, taken_at FROM thread_fences
) AS known
WHERE NOT session_uid = ANY(%(existing)s)
GROUP BY session_uid
HAVING max(touched_at) < now() - make_interval(secs => %(min_age_seconds)s)
ORDER BY session_uid;
