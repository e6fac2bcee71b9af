-- Tenants' rules, so that plans under them are the plans without them, and a right less.
--
-- Safe to repeat.

-- A fence's number is unique over all tenants: one that could choose it could keep others from theirs. So tenants may not
-- write it, and every fence has one now, which its takers leave as it is.
UPDATE thread_fences SET number = nextval('thread_fence_epochs') WHERE number IS NULL;

DO $$
DECLARE
    own constant text :=
        'FROM tenants WHERE tenants.role_name = CURRENT_USER AND tenants.database_name = current_database()';
    thread constant text :=
        format('coalesce(starts_with(thread_id, (SELECT ''project-'' || tenants.namespace || '':'' %s)), false)', own);
    bound record;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'checkpoints'::regclass AND polname = 'agentic_own') THEN
        -- Migration 006 found no roles, and said so.
        RETURN;
    END IF;

    REVOKE INSERT, UPDATE ON thread_fences FROM agentic_tenant;
    GRANT INSERT (thread_id, session_uid, session_created_at, epoch, run, failures, holder, taken_at)
        ON thread_fences TO agentic_tenant;
    GRANT UPDATE (session_uid, session_created_at, epoch, run, failures, holder, taken_at)
        ON thread_fences TO agentic_tenant;

    FOR bound IN
        SELECT relation, condition
        FROM (VALUES
            -- Inside of coalesce() a comparison counts as one that half of the rows pass. By itself it counts as one that
            -- hardly any passes, and the newest checkpoint of a thread would be looked for by reading and sorting all.
            ('checkpoints', thread),
            ('checkpoint_blobs', thread),
            ('checkpoint_writes', thread),
            ('thread_fences', thread),
            ('workflow_sessions', format('coalesce(project_name = (SELECT tenants.namespace %s), false) AND %s', own, thread)),
            -- The library searches with LIKE, which may not come before the rule and so finds no index. The rule does: it
            -- asks for all that begins with the label and a dot, as the range up to the character after the dot.
            ('store', format(
                'prefix ~>=~ (SELECT ''project-'' || tenants.namespace || ''.'' %1$s) '
                'AND prefix ~<~ (SELECT ''project-'' || tenants.namespace || ''/'' %1$s)', own
            ))
        ) AS tables (relation, condition)
    LOOP
        EXECUTE format('ALTER POLICY agentic_own ON %I USING (%s)', bound.relation, bound.condition);
    END LOOP;
END
$$;
