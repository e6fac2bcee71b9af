-- The newest values of sessions' states, for those who may read them.

-- One that a later run wrote stays.

-- name: write
INSERT INTO thread_values AS known (
    session_uid, run, turn, checkpoint_id, at, keeps_history, channels, state
)
SELECT
    %(session_uid)s, %(run)s, %(turn)s, %(checkpoint_id)s, now(), %(keeps_history)s, %(channels)s::text[], %(state)s::json
WHERE EXISTS (SELECT 1 FROM workflow_sessions WHERE session_uid = %(session_uid)s)
ON CONFLICT (session_uid) DO UPDATE SET
    run = excluded.run,
    turn = excluded.turn,
    checkpoint_id = excluded.checkpoint_id,
    at = excluded.at,
    keeps_history = excluded.keeps_history,
    channels = excluded.channels,
    state = excluded.state
WHERE known.run <= excluded.run;

-- name: read
SELECT run, turn, checkpoint_id, at, keeps_history, state::text AS state
FROM thread_values
WHERE session_uid = %(session_uid)s AND cardinality(channels) > 0;

-- Nothing is shown any more: the definition no longer says so, or the state is encrypted by now.

-- name: withdraw
UPDATE thread_values
SET state = NULL, keeps_history = false, channels = '{}', run = greatest(run, %(run)s)
WHERE session_uid = %(session_uid)s AND cardinality(channels) > 0;

-- name: read_checkpoint
SELECT channel, kind, content
FROM agentic_checkpoint_values(%(namespace)s, %(session_uid)s, %(checkpoint_id)s, %(most)s)
ORDER BY channel;
