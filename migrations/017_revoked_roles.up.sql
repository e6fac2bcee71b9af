-- A tenant's role that owns something in another database of the server cannot be dropped: PostgreSQL refuses, and with it
-- went back what took the role its connections. Now it logs in no more in any case, and goes once it owns nothing.
--
-- Safe to repeat.

-- Removes a tenant's role, ends its connections and drops what it made. True where it is gone; false where there was no
-- such role; null where something keeps it: it cannot log in and has no rights here, and is to be removed later.
CREATE OR REPLACE FUNCTION agentic_drop_tenant(unwanted name) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout = '5s'
AS $$
DECLARE
    home name;
BEGIN
    SELECT database_name INTO home FROM tenants WHERE role_name = unwanted FOR UPDATE;
    IF home IS NULL THEN
        RETURN false;
    END IF;
    -- A row that came with a copy of another database: the role is not ours.
    IF home <> current_database() OR NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = unwanted) THEN
        DELETE FROM tenants WHERE role_name = unwanted;
        RETURN true;
    END IF;
    -- Being a member is what ending its connections and dropping its objects ask for.
    EXECUTE format('GRANT %I TO CURRENT_USER', unwanted);
    EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', unwanted);
    EXECUTE format('REVOKE agentic_tenant FROM %I', unwanted);
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = unwanted AND pid <> pg_backend_pid();
    BEGIN
        EXECUTE format('DROP OWNED BY %I', unwanted);
        EXECUTE format('DROP ROLE %I', unwanted);
        DELETE FROM tenants WHERE role_name = unwanted;
        RETURN true;
    EXCEPTION WHEN dependent_objects_still_exist OR lock_not_available OR object_in_use THEN
        UPDATE tenants SET retired_at = coalesce(retired_at, now()) WHERE role_name = unwanted;
        RETURN NULL;
    END;
END
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION agentic_drop_tenant(name) SET search_path = pg_catalog, %I, pg_temp', current_schema());
    REVOKE ALL ON FUNCTION agentic_drop_tenant(name) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        GRANT EXECUTE ON FUNCTION agentic_drop_tenant(name) TO agentic_operator;
    END IF;
END
$$;
