-- WARNING: deletes the record of every turn of every conversation, and their results. Conversations that were idle count as
-- suspended from then on. Stop the operator and all runners first.

DROP TABLE IF EXISTS session_turns;
DROP FUNCTION IF EXISTS agentic_keep_turn_ends();

DO $$
BEGIN
    IF to_regclass('workflow_sessions') IS NULL THEN
        RETURN;
    END IF;
    UPDATE workflow_sessions SET status = 'suspended', updated_at = now() WHERE status = 'idle';
    ALTER TABLE workflow_sessions
        DROP CONSTRAINT IF EXISTS workflow_sessions_status_check,
        ADD CONSTRAINT workflow_sessions_status_check CHECK (
            status IN (
                'pending', 'creating', 'running', 'waiting_for_input', 'suspended', 'completed', 'failed', 'stopped'
            )
        );
END
$$;
