-- What one tenant writes or sets stays that tenant's: rows that name another's thread, times that nobody can read, what a
-- role says of its own connections, and temporary tables in connections that a pooler shares.
--
-- Safe to repeat. The constraints hold for what is written from now on: rows that are there are not read.

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_constraint
        WHERE conrelid = 'workflow_sessions'::regclass AND conname = 'workflow_sessions_thread_check'
    ) THEN
        ALTER TABLE workflow_sessions ADD CONSTRAINT workflow_sessions_thread_check CHECK (
            NOT starts_with(thread_id, 'project-') OR starts_with(thread_id, 'project-' || project_name || ':')
        ) NOT VALID;
    END IF;
    -- Programs that read them have no other years.
    IF NOT EXISTS (
        SELECT 1 FROM pg_constraint
        WHERE conrelid = 'workflow_sessions'::regclass AND conname = 'workflow_sessions_times_check'
    ) THEN
        ALTER TABLE workflow_sessions ADD CONSTRAINT workflow_sessions_times_check CHECK (
            least(created_at, started_at, updated_at, completed_at) > '0001-01-02 00:00:00+00'
            AND greatest(created_at, started_at, updated_at, completed_at) < '9999-12-30 00:00:00+00'
        ) NOT VALID;
    END IF;
END
$$;

-- Every role may say how its own connections begin (ALTER ROLE CURRENT_USER SET ...), and so stop all others of its
-- namespace. Nobody but us sets anything for roles that we made: what is there is taken away. Returns their names.
CREATE OR REPLACE FUNCTION agentic_settle_tenants() RETURNS SETOF name
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout = '5s'
AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT DISTINCT pg_roles.rolname, pg_database.datname
        FROM tenants
        JOIN pg_roles ON pg_roles.rolname = tenants.role_name
        JOIN pg_db_role_setting ON pg_db_role_setting.setrole = pg_roles.oid
        LEFT JOIN pg_database ON pg_database.oid = pg_db_role_setting.setdatabase
        WHERE tenants.database_name = current_database()
    LOOP
        IF found.datname IS NULL THEN
            EXECUTE format('ALTER ROLE %I RESET ALL', found.rolname);
        ELSE
            EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', found.rolname, found.datname);
        END IF;
        RETURN NEXT found.rolname;
    END LOOP;
END
$$;

DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION agentic_settle_tenants() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
    REVOKE ALL ON FUNCTION agentic_settle_tenants() FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        GRANT EXECUTE ON FUNCTION agentic_settle_tenants() TO agentic_operator;
    END IF;
    -- A temporary table stands before one of ours, also for the next client to whom a pooler lends the connection.
    IF EXISTS (
        SELECT 1
        FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) AS granted
        WHERE datname = current_database() AND granted.grantee = 0 AND granted.privilege_type = 'TEMPORARY'
            AND pg_has_role(datdba, 'USAGE')
    ) THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;
END
$$;
