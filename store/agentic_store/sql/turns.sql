-- Turns of conversations.

-- name: limit_locks
SELECT set_config('lock_timeout', '5s', true);

-- What the operator knows of turns. A turn that ended stays as it is, and one that is known is not touched: even to lock
-- its row would write it. Turns that begin are told to whoever listens for their session. Returned are those whose session
-- has a row: the others come after that.

-- name: record
WITH new AS (
    SELECT *
    FROM unnest(
        %(uids)s::text[], %(numbers)s::integer[], %(names)s::text[], %(projects)s::text[], %(sessions)s::text[],
        %(authors)s::text[], %(inputs)s::text[], %(commands)s::text[], %(phases)s::text[], %(errors)s::text[],
        %(checkpoints)s::text[], %(runs)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]
    ) AS given (
        session_uid, number, name, project_name, session_name, author, input, command, phase, error, checkpoint_id, run,
        started_at, finished_at
    )
    WHERE EXISTS (SELECT 1 FROM workflow_sessions AS s WHERE s.session_uid = given.session_uid)
),
written AS (
    INSERT INTO session_turns AS known (
        session_uid, number, name, project_name, session_name, author, input, command, phase, error, checkpoint_id, run,
        started_at, finished_at
    )
    SELECT
        session_uid, number, name, project_name, session_name, author, input::jsonb, command::jsonb, phase, error::jsonb,
        checkpoint_id, run, started_at, CASE WHEN phase <> 'running' THEN coalesce(finished_at, now()) END
    FROM new
    WHERE NOT EXISTS (
        SELECT 1 FROM session_turns AS old
        WHERE old.session_uid = new.session_uid
            AND old.number = new.number
            AND (old.phase <> 'running' OR (new.phase = 'running' AND old.run >= new.run))
    )
    ORDER BY session_uid, number
    ON CONFLICT (session_uid, number) DO UPDATE SET
        phase = excluded.phase,
        error = coalesce(known.error, excluded.error),
        checkpoint_id = coalesce(known.checkpoint_id, excluded.checkpoint_id),
        run = greatest(known.run, excluded.run),
        started_at = coalesce(known.started_at, excluded.started_at),
        finished_at = excluded.finished_at
    WHERE known.name = excluded.name AND known.phase = 'running'
    RETURNING session_uid, number, phase
),
told AS (
    SELECT pg_notify(
        'agentic_session_' || left(encode(sha256(convert_to(session_uid, 'UTF8')), 'hex'), 32), number::text
    )
    FROM written
    WHERE phase = 'running'
)
SELECT session_uid, number, (SELECT count(*) FROM told) AS told FROM new;

-- name: notify
SELECT pg_notify(channel, '') FROM unnest(%(channels)s::text[]) AS channel;

-- A run begins a turn, or goes on with it: the row as it is afterwards, ended where an earlier run stored an end.

-- name: begin
INSERT INTO session_turns AS known (
    session_uid, number, name, project_name, session_name, author, input, command, run, started_at
)
SELECT
    %(session_uid)s, %(number)s, %(name)s, s.project_name, s.session_name, %(author)s, %(input)s::jsonb,
    %(command)s::jsonb, %(run)s, now()
FROM workflow_sessions AS s
WHERE s.session_uid = %(session_uid)s
ON CONFLICT (session_uid, number) DO UPDATE SET
    run = greatest(known.run, excluded.run),
    started_at = coalesce(known.started_at, excluded.started_at)
WHERE known.phase = 'running' AND (known.run < excluded.run OR known.started_at IS NULL);

-- name: finish
UPDATE session_turns
SET phase = %(phase)s,
    output = %(output)s::jsonb,
    error = %(error)s::jsonb,
    checkpoint_id = %(checkpoint_id)s,
    run = %(run)s,
    started_at = coalesce(started_at, now()),
    finished_at = now()
WHERE session_uid = %(session_uid)s AND number = %(number)s AND phase = 'running' AND run <= %(run)s;

-- In the transaction of `finish`: the session is between two turns.

-- name: rest
UPDATE workflow_sessions
SET status = %(status)s, run = %(run)s, updated_at = now()
WHERE session_uid = %(session_uid)s AND run <= %(run)s AND status = ANY(%(sources)s);

-- name: session_state
SELECT status, run FROM workflow_sessions WHERE session_uid = %(session_uid)s;

-- name: get
SELECT
    session_uid, number, name, project_name, session_name, author, input, command, phase,
    CASE WHEN %(with_output)s THEN output END AS output,
    error, checkpoint_id, run, created_at, started_at, finished_at
FROM session_turns
WHERE session_uid = %(session_uid)s AND number = %(number)s;

-- The end of a turn with its output where that is small: nothing large is read.

-- name: end
SELECT
    session_uid, number, name, project_name, session_name, author, NULL AS input, NULL AS command, phase,
    CASE WHEN pg_column_size(output) <= %(most)s THEN output END AS output,
    error, checkpoint_id, run, created_at, started_at, finished_at
FROM session_turns
WHERE session_uid = %(session_uid)s AND number = %(number)s AND phase <> 'running';

-- name: list
SELECT
    session_uid, number, name, project_name, session_name, author, input, command, phase, NULL AS output,
    error, checkpoint_id, run, created_at, started_at, finished_at
FROM session_turns
WHERE session_uid = %(session_uid)s AND number > %(after)s
ORDER BY number
LIMIT %(limit)s;

-- name: names
SELECT name FROM session_turns WHERE session_uid = %(session_uid)s AND name = ANY(%(names)s);
