-- A run whose name did not arrive writes nothing: poolers exist that give connections names of their own, and without a
-- fence nobody could tell an outdated run from the one that has the thread. Roles that are runners alone (members of
-- agentic_runner or agentic_tenant, and neither of agentic_operator nor superusers) save checkpoints under a fence or
-- not at all. What a pooler appends to a name does no harm.
--
-- Safe to repeat. Every save is an insert. Deletions and updates stay as they were: taking a thread empties it before the
-- fence is carried, and a namespace's role may encrypt its rows anew.

CREATE OR REPLACE FUNCTION agentic_check_fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said text := current_setting('application_name');
    carried text[] := regexp_match(said, ' fence=([0-9]{1,18})/([0-9]{1,18})(?![0-9])');
    fenced_thread text;
    own_epoch bigint;
    current_epoch bigint;
BEGIN
    IF carried IS NOT NULL THEN
        own_epoch := carried[2]::bigint;
        SELECT thread_id, epoch INTO fenced_thread, current_epoch
        FROM thread_fences
        WHERE number = carried[1]::bigint
        FOR SHARE;
    ELSIF position(' fence=' IN said) = 0 THEN
        fenced_thread := current_setting('agentic.thread_id', true);
        IF fenced_thread IS NULL OR fenced_thread = '' THEN
            IF TG_OP = 'INSERT' AND starts_with(TG_TABLE_NAME, 'checkpoint') AND EXISTS (
                SELECT 1 FROM pg_roles AS own
                WHERE own.rolname = current_user
                    AND NOT own.rolsuper
                    AND EXISTS (
                        SELECT 1 FROM pg_roles AS runner
                        WHERE runner.rolname IN ('agentic_runner', 'agentic_tenant')
                            AND pg_has_role(own.oid, runner.oid, 'MEMBER')
                    )
                    AND NOT EXISTS (
                        SELECT 1 FROM pg_roles AS operator
                        WHERE operator.rolname = 'agentic_operator' AND pg_has_role(own.oid, operator.oid, 'MEMBER')
                    )
            ) THEN
                RAISE EXCEPTION 'the name of this connection carries no fence: it arrived as %', quote_literal(left(said, 63))
                    USING ERRCODE = 'AG003',
                    HINT = 'A connection pooler gives connections names of its own: let it keep application_name, or connect to the server itself.';
            END IF;
            RETURN NULL;
        END IF;
        own_epoch := nullif(current_setting('agentic.epoch', true), '')::bigint;
        SELECT epoch INTO current_epoch FROM thread_fences WHERE thread_id = fenced_thread FOR SHARE;
    END IF;
    IF current_epoch IS DISTINCT FROM own_epoch OR own_epoch IS NULL THEN
        RAISE EXCEPTION 'superseded: thread % is at epoch %, this writer holds %',
            coalesce(fenced_thread, format('of fence %s', split_part(said, ' fence=', 2))),
            coalesce(current_epoch::text, 'none'),
            coalesce(own_epoch::text, 'none')
            USING ERRCODE = 'AG001', HINT = 'A newer run owns the thread, or its session was deleted: stop this one.';
    END IF;
    RETURN NULL;
END
$$;
