-- Fences: who may write a thread.

-- name: prepare
SELECT set_config('lock_timeout', %(lock_timeout)s, true);

-- Takers of one thread queue up at its key, also while it has no row to lock yet. An advisory lock would do the same and
-- be for every role of the database to hold.

-- name: create
INSERT INTO thread_fences (thread_id, session_uid, session_created_at, epoch, run, failures, holder)
VALUES (
    %(thread_id)s, %(session_uid)s, %(session_created_at)s, nextval('thread_fence_epochs'), %(run)s, 0, %(holder)s
)
ON CONFLICT (thread_id) DO NOTHING
RETURNING thread_id, session_uid, session_created_at, epoch, run, failures, holder, number;

-- name: lock
SELECT thread_id, session_uid, session_created_at, epoch, run, failures, holder, number
FROM thread_fences
WHERE thread_id = %(thread_id)s
FOR UPDATE;

-- name: take
UPDATE thread_fences SET
    session_uid = %(session_uid)s,
    session_created_at = %(session_created_at)s,
    epoch = nextval('thread_fence_epochs'),
    run = %(run)s,
    failures = %(failures)s,
    holder = %(holder)s,
    taken_at = now()
WHERE thread_id = %(thread_id)s
RETURNING thread_id, session_uid, session_created_at, epoch, run, failures, holder, number;

-- name: record_failure
UPDATE thread_fences SET failures = failures + 1
WHERE thread_id = %(thread_id)s AND epoch = %(epoch)s
RETURNING failures;

-- name: get
SELECT thread_id, session_uid, session_created_at, epoch, run, failures, holder, number
FROM thread_fences
WHERE thread_id = %(thread_id)s;

-- name: carry
SELECT set_config('application_name', %(name)s, false);

-- name: be_busy
SELECT pg_sleep(0.02);

-- name: carried
SELECT current_setting('application_name') AS name;

-- A writer that was stopped between two messages holds its share of the fence for as long as its connection lives:
-- whoever waits for its client and blocks this backend is disconnected.

-- name: disconnect_stuck
SELECT blocker.pid, pg_terminate_backend(blocker.pid) AS disconnected
FROM pg_stat_activity AS blocker
WHERE blocker.pid = ANY(pg_blocking_pids(%(pid)s)) AND blocker.wait_event_type = 'Client';
