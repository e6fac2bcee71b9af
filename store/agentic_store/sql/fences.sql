-- Fences: who may write a thread.

-- name: backend
SELECT pg_backend_pid();

-- name: prepare
SELECT
    set_config('lock_timeout', %(lock_timeout)s, true),
    pg_advisory_xact_lock(%(class)s, hashtext(%(thread_id)s));

-- name: lock
SELECT thread_id, session_uid, session_created_at, epoch, run, failures, holder, number
FROM thread_fences
WHERE thread_id = %(thread_id)s
FOR UPDATE;

-- name: take
INSERT INTO thread_fences (thread_id, session_uid, session_created_at, epoch, run, failures, holder)
VALUES (
    %(thread_id)s, %(session_uid)s, %(session_created_at)s, nextval('thread_fence_epochs'), %(run)s, %(failures)s,
    %(holder)s
)
ON CONFLICT (thread_id) DO UPDATE SET
    session_uid = excluded.session_uid,
    session_created_at = excluded.session_created_at,
    epoch = excluded.epoch,
    run = excluded.run,
    failures = excluded.failures,
    holder = excluded.holder,
    taken_at = now(),
    number = coalesce(thread_fences.number, excluded.number)
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

-- A writer that was stopped between two messages holds its share of the fence for as long as its connection lives:
-- whoever waits for its client and blocks this backend is disconnected.

-- name: disconnect_stuck
SELECT blocker.pid, pg_terminate_backend(blocker.pid) AS disconnected
FROM pg_stat_activity AS blocker
WHERE blocker.pid = ANY(pg_blocking_pids(%(pid)s)) AND blocker.wait_event_type = 'Client';
