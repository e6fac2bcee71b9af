-- WARNING: removes the login role of every namespace and disconnects its runners: until all namespaces share a role
-- again (TENANCY=off and a Secret with its connection string), no session can run. No row of theirs is deleted.

-- Rights first: without its policies a table shows all rows to whoever may read it.
DO $$
DECLARE
    bound text;
    unwanted name;
BEGIN
    FOREACH bound IN ARRAY ARRAY[
        'agentic_migrations', 'checkpoint_migrations', 'checkpoints', 'checkpoint_blobs', 'checkpoint_writes',
        'store', 'store_migrations', 'workflow_sessions', 'session_events', 'thread_fences', 'tenants'
    ] LOOP
        IF to_regclass(bound) IS NULL THEN
            CONTINUE;
        END IF;
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_tenant') THEN
            EXECUTE format('REVOKE ALL ON %I FROM agentic_tenant', bound);
        END IF;
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', bound);
        EXECUTE format('DROP POLICY IF EXISTS agentic_own ON %I', bound);
        EXECUTE format('DROP POLICY IF EXISTS agentic_all ON %I', bound);
    END LOOP;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_tenant') THEN
        IF to_regclass('thread_fence_epochs') IS NOT NULL THEN
            REVOKE ALL ON SEQUENCE thread_fence_epochs FROM agentic_tenant;
        END IF;
        EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM agentic_tenant', current_schema());
        IF has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION') THEN
            EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM agentic_tenant', current_database());
        END IF;
    END IF;
    IF to_regclass('tenants') IS NOT NULL THEN
        FOR unwanted IN SELECT role_name FROM tenants LOOP
            PERFORM agentic_drop_tenant(unwanted);
        END LOOP;
    END IF;
END
$$;

DROP TABLE IF EXISTS tenants;
DROP FUNCTION IF EXISTS agentic_make_tenant(text, text);
DROP FUNCTION IF EXISTS agentic_drop_tenant(name);
DROP FUNCTION IF EXISTS agentic_tenancy_obstacle();
