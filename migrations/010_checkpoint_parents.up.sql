-- A checkpoint follows one that is there. A run keeps its state in memory: where a failover to a standby that lags lost
-- its last checkpoints, the next one would be saved without what those had changed, and nobody would notice. It is
-- refused instead, and the run begins again from what is there.
--
-- Safe to repeat. The check is one look-up by the primary key for every checkpoint.

CREATE OR REPLACE FUNCTION agentic_check_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM checkpoints
    WHERE thread_id = NEW.thread_id
        AND checkpoint_ns = NEW.checkpoint_ns
        AND checkpoint_id = NEW.parent_checkpoint_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'thread % has lost checkpoint %, which the next one was to follow',
            NEW.thread_id, NEW.parent_checkpoint_id
            USING ERRCODE = 'AG002', HINT = 'The database went back, by a failover or a restore: read the thread again.';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    -- Asked first: CREATE OR REPLACE TRIGGER needs a newer server and an exclusive lock at every repetition.
    IF NOT EXISTS (
        SELECT 1 FROM pg_trigger
        WHERE tgrelid = 'checkpoints'::regclass AND tgname = 'agentic_parent' AND NOT tgisinternal
    ) THEN
        -- After the statement: a copy of a whole thread may hold a child before its parent.
        CREATE TRIGGER agentic_parent AFTER INSERT ON checkpoints
            FOR EACH ROW WHEN (NEW.parent_checkpoint_id IS NOT NULL) EXECUTE FUNCTION agentic_check_parent();
    END IF;
END
$$;
