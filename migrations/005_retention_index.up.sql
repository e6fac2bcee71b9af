-- outside a transaction
-- Where retention finds ended sessions of which something is left, by project and time. Built beside writers.

CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_sessions_ended_idx
    ON workflow_sessions (project_name, checkpoints_kept, completed_at, session_uid)
    WHERE completed_at IS NOT NULL AND checkpoints_kept <> 'none';
