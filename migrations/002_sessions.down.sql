-- WARNING: deletes the record of every session, their results and events, and the fences of their threads. Stop the
-- operator and all runners first: without fences two runs of one thread can write at once. Take a backup (pg_dump).
--
-- agentic_migrations stays: it is the record of what this file undoes.

DROP TRIGGER IF EXISTS agentic_fence ON checkpoint_writes;
DROP TRIGGER IF EXISTS agentic_fence ON checkpoint_blobs;
DROP TRIGGER IF EXISTS agentic_fence ON checkpoints;
DROP TABLE IF EXISTS session_events;
DROP TABLE IF EXISTS workflow_sessions;
DROP TABLE IF EXISTS thread_fences;
DROP SEQUENCE IF EXISTS thread_fence_epochs;
DROP FUNCTION IF EXISTS agentic_check_fence();
