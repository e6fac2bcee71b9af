-- WARNING: what was removed of checkpoints stays removed; which sessions it was is forgotten.

ALTER TABLE IF EXISTS workflow_sessions DROP COLUMN IF EXISTS checkpoints_kept;

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator')
        AND to_regclass('checkpoints') IS NOT NULL AND to_regclass('thread_fences') IS NOT NULL
    THEN
        REVOKE UPDATE (parent_checkpoint_id) ON checkpoints FROM agentic_operator;
        REVOKE INSERT ON thread_fences FROM agentic_operator;
        REVOKE USAGE ON SEQUENCE thread_fence_epochs FROM agentic_operator;
    END IF;
END
$$;
