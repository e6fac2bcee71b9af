-- Retention reads the whole table without it.

DROP INDEX IF EXISTS workflow_sessions_ended_idx;
