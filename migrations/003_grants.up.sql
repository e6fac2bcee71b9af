-- What operator and runner may do: read and write rows, never change the schema. The rights belong to two roles without
-- login; make your login roles members of them:
--
--     CREATE ROLE my_runner LOGIN PASSWORD '…' IN ROLE agentic_runner;
--
-- Safe to repeat. Roles belong to the whole server: where another database of it has them already, they are taken as
-- they are, and where this role may not make them, a warning says what to run as a role that may.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['agentic_operator', 'agentic_runner'] LOOP
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted) THEN
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION
            -- The same migration of another database of this server may be a moment ahead.
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role % is missing and % may not create it: run `CREATE ROLE % NOLOGIN` as a role with CREATEROLE, then `agentic migrate down --to 2` and `agentic migrate up`',
                    wanted, current_user, wanted;
        END;
    END LOOP;

    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO agentic_operator', current_schema());
        GRANT SELECT ON agentic_migrations, checkpoint_migrations, store_migrations TO agentic_operator;
        GRANT SELECT, INSERT, UPDATE, DELETE ON workflow_sessions, session_events TO agentic_operator;
        -- Deleting a session purges its thread; UPDATE on fences is what locking a row asks for.
        GRANT SELECT, UPDATE, DELETE ON thread_fences TO agentic_operator;
        GRANT SELECT, DELETE ON checkpoints, checkpoint_blobs, checkpoint_writes TO agentic_operator;
    END IF;

    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_runner') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO agentic_runner', current_schema());
        GRANT SELECT ON agentic_migrations, checkpoint_migrations, store_migrations TO agentic_runner;
        GRANT SELECT, INSERT, UPDATE, DELETE ON checkpoints, checkpoint_blobs, checkpoint_writes, store
            TO agentic_runner;
        GRANT SELECT, INSERT, UPDATE ON thread_fences TO agentic_runner;
        GRANT USAGE ON SEQUENCE thread_fence_epochs TO agentic_runner;
        GRANT SELECT, INSERT ON session_events TO agentic_runner;
        -- A run writes its session's row, and makes it where the operator has not come to it yet. Whose row it is, is
        -- not its to change, and it deletes none.
        GRANT SELECT, INSERT ON workflow_sessions TO agentic_runner;
        GRANT UPDATE (
            workflow_name, status, input_data, output_data, error, thread_id, run, started_at, updated_at, completed_at
        ) ON workflow_sessions TO agentic_runner;
    END IF;
END
$$;
