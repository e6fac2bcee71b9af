-- A role that owns something in another database keeps its login and its connections when it is to be removed. No data is
-- deleted.

DO $outer$
BEGIN
    IF to_regprocedure('agentic_drop_tenant(name)') IS NULL THEN
        RETURN;
    END IF;
    CREATE OR REPLACE FUNCTION agentic_drop_tenant(unwanted name) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER
        SET lock_timeout = '5s'
    AS $$
    DECLARE
        home name;
    BEGIN
        DELETE FROM tenants WHERE role_name = unwanted RETURNING database_name INTO home;
        IF home IS NULL THEN
            RETURN false;
        END IF;
        -- A row that came with a copy of another database: the role is not ours.
        IF home <> current_database() OR NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = unwanted) THEN
            RETURN true;
        END IF;
        -- Being a member is what ending its connections and dropping its objects ask for.
        EXECUTE format('GRANT %I TO CURRENT_USER', unwanted);
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = unwanted AND pid <> pg_backend_pid();
        EXECUTE format('DROP OWNED BY %I', unwanted);
        EXECUTE format('DROP ROLE %I', unwanted);
        RETURN true;
    END
    $$;
    EXECUTE format('ALTER FUNCTION agentic_drop_tenant(name) SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$outer$;
