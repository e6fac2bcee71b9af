-- outside a transaction
-- How sessions are found: by what their inputs contain (`@>`), and by version, newest first. Built beside writers. No
-- column that a run changes is in them, so that a change of status touches no index.

CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_sessions_input_data_gin_idx
    ON workflow_sessions USING gin (input_data jsonb_path_ops);

-- Inputs may hold any text as their version; one that no index page takes would keep its session from being recorded.
CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_sessions_version_idx
    ON workflow_sessions (project_name, workflow_version, created_at DESC, session_name DESC)
    WHERE octet_length(workflow_version) <= 128;
