-- WARNING: runs whose connections a pooler renames are let through unchecked from now on, and two runs of one thread
-- could write at once. No data is deleted.

CREATE OR REPLACE FUNCTION agentic_check_fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    carried text := split_part(current_setting('application_name'), ' fence=', 2);
    fenced_thread text;
    own_epoch bigint;
    current_epoch bigint;
BEGIN
    IF carried <> '' THEN
        own_epoch := nullif(split_part(carried, '/', 2), '')::bigint;
        SELECT thread_id, epoch INTO fenced_thread, current_epoch
        FROM thread_fences
        WHERE number = nullif(split_part(carried, '/', 1), '')::bigint
        FOR SHARE;
    ELSE
        fenced_thread := current_setting('agentic.thread_id', true);
        IF fenced_thread IS NULL OR fenced_thread = '' THEN
            RETURN NULL;
        END IF;
        own_epoch := nullif(current_setting('agentic.epoch', true), '')::bigint;
        SELECT epoch INTO current_epoch FROM thread_fences WHERE thread_id = fenced_thread FOR SHARE;
    END IF;
    IF current_epoch IS DISTINCT FROM own_epoch OR own_epoch IS NULL THEN
        RAISE EXCEPTION 'superseded: thread % is at epoch %, this writer holds %',
            coalesce(fenced_thread, format('of fence %s', carried)),
            coalesce(current_epoch::text, 'none'),
            coalesce(own_epoch::text, 'none')
            USING ERRCODE = 'AG001', HINT = 'A newer run owns the thread, or its session was deleted: stop this one.';
    END IF;
    RETURN NULL;
END
$$;
