-- WARNING: runs that carry their fence in their connection's name are let through unchecked from now on, and two runs of
-- one thread could write at once. Stop the operator and all runners first. No data is deleted.

CREATE OR REPLACE FUNCTION agentic_check_fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fenced_thread text := current_setting('agentic.thread_id', true);
    own_epoch bigint;
    current_epoch bigint;
BEGIN
    IF fenced_thread IS NULL OR fenced_thread = '' THEN
        RETURN NULL;
    END IF;
    own_epoch := nullif(current_setting('agentic.epoch', true), '')::bigint;
    SELECT epoch INTO current_epoch FROM thread_fences WHERE thread_id = fenced_thread FOR SHARE;
    IF current_epoch IS DISTINCT FROM own_epoch OR own_epoch IS NULL THEN
        RAISE EXCEPTION 'superseded: thread % is at epoch %, this writer holds %',
            fenced_thread, coalesce(current_epoch::text, 'none'), coalesce(own_epoch::text, 'none')
            USING ERRCODE = 'AG001', HINT = 'A newer run owns the thread, or its session was deleted: stop this one.';
    END IF;
    RETURN NULL;
END
$$;

ALTER TABLE IF EXISTS thread_fences DROP COLUMN IF EXISTS number;
