-- The record of sessions. Statuses that may precede a new one are a parameter: the lifecycle table is in Python.

-- name: limit_locks
SELECT set_config('lock_timeout', '5s', true);

-- name: older
SELECT known.session_uid
FROM unnest(%(projects)s::text[], %(names)s::text[], %(uids)s::text[], %(times)s::timestamptz[])
    AS new (project_name, session_name, session_uid, created_at)
JOIN workflow_sessions AS known USING (project_name, session_name)
WHERE known.session_uid <> new.session_uid AND known.created_at <= new.created_at
UNION ALL
-- A uid is one session's alone: whoever else wrote it down would keep that one from its row.
SELECT known.session_uid
FROM unnest(%(projects)s::text[], %(names)s::text[], %(uids)s::text[])
    AS new (project_name, session_name, session_uid)
JOIN workflow_sessions AS known USING (session_uid)
WHERE (known.project_name, known.session_name) <> (new.project_name, new.session_name);

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
    -- A run that fails leaves what it had put out by then.
    output_data = coalesce(%(output)s::jsonb, output_data),
    error = %(error)s::jsonb,
    completed_at = now(),
    updated_at = now()
WHERE session_uid = %(session_uid)s AND run <= %(run)s AND status = ANY(%(sources)s);

-- One statement, so that of two at once the second sees what the first has written. A parent that is not there would
-- have jsonb_set() change nothing and say nothing.

-- name: update_output
UPDATE workflow_sessions
SET output_data = jsonb_set(coalesce(output_data, '{}'), %(path)s::text[], %(value)s::jsonb),
    run = %(run)s,
    updated_at = now()
WHERE session_uid = %(session_uid)s
    AND run <= %(run)s
    AND status = ANY(%(open)s)
    AND jsonb_typeof(coalesce(output_data, '{}') #> %(parent)s::text[]) = 'object';

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

-- Pages of a list, each from where the one before ended; the first begins at the end of time. Inputs and outputs, which
-- can be large, are not read.

-- name: list
SELECT
    session_uid, project_name, session_name, workflow_name, workflow_version, status, error, thread_id, run,
    created_at, started_at, updated_at, completed_at
FROM workflow_sessions
WHERE project_name = %(project_name)s
    AND (created_at, session_name) < (%(created_at)s::timestamptz, %(session_name)s)
ORDER BY created_at DESC, session_name DESC
LIMIT %(limit)s;

-- The limit of the length is the index's, which a long text would not fit.

-- name: list_version
SELECT
    session_uid, project_name, session_name, workflow_name, workflow_version, status, error, thread_id, run,
    created_at, started_at, updated_at, completed_at
FROM workflow_sessions
WHERE project_name = %(project_name)s
    AND workflow_version = %(workflow_version)s
    AND octet_length(workflow_version) <= 128
    AND (created_at, session_name) < (%(created_at)s::timestamptz, %(session_name)s)
ORDER BY created_at DESC, session_name DESC
LIMIT %(limit)s;

-- name: limit_time
SELECT set_config('statement_timeout', %(timeout)s, true);

-- Planned anew for each search: for what few sessions have, the index of inputs finds them; for what many have, the list
-- is read until the page is full.

-- name: search
SELECT
    session_uid, project_name, session_name, workflow_name, workflow_version, status, error, thread_id, run,
    created_at, started_at, updated_at, completed_at
FROM workflow_sessions
WHERE project_name = %(project_name)s
    AND input_data @> %(containing)s::jsonb
    AND (created_at, session_name) < (%(created_at)s::timestamptz, %(session_name)s)
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
