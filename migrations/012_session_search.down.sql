-- WARNING: searches of sessions by their inputs or version read whole projects from here on. Nothing is deleted.

DROP INDEX IF EXISTS workflow_sessions_version_idx;
DROP INDEX IF EXISTS workflow_sessions_input_data_gin_idx;
