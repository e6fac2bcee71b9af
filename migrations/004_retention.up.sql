-- What is left of an ended session's checkpoints, so that those whose time has come are found without looking at those
-- that are done: 'all', what the last one 'needed', or 'none'. Only retention writes it.
--
-- Safe to repeat. A new column with a constant default rewrites no table.

ALTER TABLE workflow_sessions ADD COLUMN IF NOT EXISTS checkpoints_kept text NOT NULL DEFAULT 'all';

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_constraint
        WHERE conrelid = 'workflow_sessions'::regclass AND conname = 'workflow_sessions_kept_check'
    ) THEN
        -- Rows from before all have the default: looking at each would only hold the lock for longer.
        ALTER TABLE workflow_sessions ADD CONSTRAINT workflow_sessions_kept_check
            CHECK (checkpoints_kept IN ('all', 'needed', 'none')) NOT VALID;
    END IF;

    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        -- A fence of its own keeps everybody else out of a thread while its checkpoints go.
        GRANT INSERT ON thread_fences TO agentic_operator;
        GRANT USAGE ON SEQUENCE thread_fence_epochs TO agentic_operator;
        -- The last checkpoint of a pruned thread has no parent any more. Locking its row asks for the same right.
        GRANT UPDATE (parent_checkpoint_id) ON checkpoints TO agentic_operator;
    END IF;
END
$$;
