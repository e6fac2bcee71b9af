-- WARNING: operator and runners lose their rights on this database at once. No data is deleted. The two roles stay,
-- since other databases of the server may use them; drop them by hand where none does.

DO $$
DECLARE
    relation text;
    grantee text;
BEGIN
    FOREACH grantee IN ARRAY ARRAY['agentic_operator', 'agentic_runner'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = grantee) THEN
            CONTINUE;
        END IF;
        FOREACH relation IN ARRAY ARRAY[
            'agentic_migrations', 'checkpoint_migrations', 'checkpoints', 'checkpoint_blobs', 'checkpoint_writes',
            'store', 'store_migrations', 'workflow_sessions', 'session_events', 'thread_fences'
        ] LOOP
            IF to_regclass(relation) IS NOT NULL THEN
                EXECUTE format('REVOKE ALL ON %I FROM %I', relation, grantee);
            END IF;
        END LOOP;
        IF to_regclass('thread_fence_epochs') IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON SEQUENCE thread_fence_epochs FROM %I', grantee);
        END IF;
        EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM %I', current_schema(), grantee);
    END LOOP;
END
$$;
