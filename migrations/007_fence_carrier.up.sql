-- A run carries its fence in its connections' application_name, which ends in ` fence=NUMBER/EPOCH`: a pooler such as
-- PgBouncer keeps that name with its client, also where every transaction may come to another connection of the server.
-- The settings agentic.thread_id and agentic.epoch, which it does not keep, still count for runs that were started
-- before.
--
-- Safe to repeat. A thread gets its number when its fence is taken next; the name tells nobody else which thread it is.

DO $$
BEGIN
    -- Asked first: a repetition takes no exclusive lock. A new column without a default rewrites no table.
    IF NOT EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = 'thread_fences'::regclass AND attname = 'number' AND atthasdef AND NOT attisdropped
    ) THEN
        ALTER TABLE thread_fences ADD COLUMN IF NOT EXISTS number bigint;
        ALTER TABLE thread_fences ALTER COLUMN number SET DEFAULT nextval('thread_fence_epochs');
    END IF;
END
$$;

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
