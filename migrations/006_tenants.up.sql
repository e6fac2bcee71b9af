-- Tenancy that the database enforces: every namespace logs in with a role of its own, and row-level security shows that
-- role the rows of its namespace alone. Operator and shared runners see all rows, the owner of the tables is not bound.
--
-- A tenant's roles are made by agentic_make_tenant(), which runs with the rights of whoever applies this file (it needs
-- CREATEROLE, not superuser) and which only the operator may call. Where that cannot work, agentic_tenancy_obstacle()
-- says why, and all namespaces share one role as before.
--
-- Safe to repeat.

DO $$
DECLARE
    missing text;
BEGIN
    FOREACH missing IN ARRAY ARRAY['agentic_operator', 'agentic_runner', 'agentic_tenant'] LOOP
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = missing) THEN
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', missing);
        EXCEPTION
            -- The same migration of another database of this server may be a moment ahead.
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role % is missing and % may not create it, so all namespaces share a role and see each other''s rows: run `CREATE ROLE % NOLOGIN` as a role with CREATEROLE, then this migration again',
                    missing, current_user, missing;
        END;
    END LOOP;
END
$$;

-- Which login role belongs to which namespace. A namespace has one current role; one that was replaced stays valid for
-- the pods that still use it. Names of roles say nothing, because every role of the server can read them.
CREATE TABLE IF NOT EXISTS tenants (
    role_name name PRIMARY KEY,
    namespace text NOT NULL CONSTRAINT tenants_namespace_check CHECK (namespace ~ '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'),
    -- Roles belong to the whole server: a copy of this database must not let them in.
    database_name name NOT NULL DEFAULT current_database(),
    made_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz,
    -- When a connection of the role was last seen, once it is retired.
    seen_at timestamptz
);

CREATE UNIQUE INDEX IF NOT EXISTS tenants_current_key ON tenants (database_name, namespace) WHERE retired_at IS NULL;

CREATE OR REPLACE FUNCTION agentic_tenancy_obstacle() RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
AS $$
DECLARE
    maker record;
BEGIN
    -- Who owns this function, since it runs with the owner's rights.
    SELECT rolname, rolsuper, rolcreaterole INTO maker FROM pg_roles WHERE rolname = current_user;
    IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass('tenants')) THEN
        RETURN 'the migration found no roles agentic_operator, agentic_runner and agentic_tenant: create them and migrate again';
    END IF;
    IF NOT (maker.rolsuper OR maker.rolcreaterole) THEN
        RETURN format('role %I, which migrates, may not create roles: run ALTER ROLE %1$I CREATEROLE', maker.rolname);
    END IF;
    -- From PostgreSQL 16 on, whoever creates roles may hand out only those that it administers.
    IF current_setting('server_version_num')::integer >= 160000
        AND NOT maker.rolsuper
        AND NOT pg_has_role(maker.rolname, 'agentic_tenant', 'MEMBER WITH ADMIN OPTION')
    THEN
        RETURN format('role %I, which migrates, may not grant agentic_tenant: run GRANT agentic_tenant TO %1$I WITH ADMIN OPTION', maker.rolname);
    END IF;
    IF NOT has_database_privilege('agentic_tenant', current_database(), 'CONNECT') THEN
        RETURN format('tenants may not connect: run GRANT CONNECT ON DATABASE %I TO agentic_tenant', current_database());
    END IF;
    RETURN NULL;
END
$$;

-- Makes a new login role for a namespace and retires the one before. The password comes as a SCRAM verifier, so that no
-- statement, log or statistics view ever holds it in clear.
CREATE OR REPLACE FUNCTION agentic_make_tenant(wanted_namespace text, verifier text) RETURNS name
    LANGUAGE plpgsql SECURITY DEFINER
AS $$
DECLARE
    made name := 'agentic_tenant_' || left(replace(gen_random_uuid()::text, '-', ''), 16);
BEGIN
    IF verifier !~ '^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$' THEN
        RAISE EXCEPTION 'a password may only be given as a SCRAM-SHA-256 verifier'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One at a time; readers go on.
    LOCK TABLE tenants IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', made, verifier);
    EXECUTE format('GRANT agentic_tenant TO %I', made);
    UPDATE tenants SET retired_at = now(), seen_at = now()
    WHERE namespace = wanted_namespace AND database_name = current_database() AND retired_at IS NULL;
    INSERT INTO tenants (role_name, namespace) VALUES (made, wanted_namespace);
    RETURN made;
END
$$;

-- Removes a tenant's role, ends its connections and drops what it made; says whether there was such a role.
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

-- The functions find nothing of a caller's: neither its temporary objects nor its search path.
DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY[
        'agentic_tenancy_obstacle()', 'agentic_make_tenant(text, text)', 'agentic_drop_tenant(name)'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', guarded, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', guarded);
    END LOOP;

    -- Nobody but the owner puts objects beside ours: older servers, and databases that were upgraded from them, let all.
    IF EXISTS (
        SELECT 1
        FROM pg_namespace, aclexplode(nspacl) AS granted
        WHERE nspname = current_schema() AND granted.grantee = 0 AND granted.privilege_type = 'CREATE'
    ) THEN
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    END IF;
END
$$;

-- Whose rows they are follows from the role that is logged in and from nothing that a session can set. The subqueries
-- depend on no row, so they are looked up once a statement, and the comparisons of keys that the saver makes are
-- leakproof: its statements use the primary keys as without row-level security.
DO $$
DECLARE
    own constant text :=
        'FROM tenants WHERE tenants.role_name = CURRENT_USER AND tenants.database_name = current_database()';
    thread constant text := format('starts_with(thread_id, (SELECT ''project-'' || tenants.namespace || '':'' %s))', own);
    project constant text := format('project_name = (SELECT tenants.namespace %s)', own);
    bound record;
BEGIN
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('agentic_operator', 'agentic_runner', 'agentic_tenant')) < 3 THEN
        RETURN;
    END IF;

    -- What a tenant may do to rows at all is what a shared runner may.
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO agentic_tenant', current_schema());
    IF has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO agentic_tenant', current_database());
    END IF;
    GRANT SELECT ON agentic_migrations, checkpoint_migrations, store_migrations TO agentic_tenant;
    GRANT SELECT, INSERT, UPDATE, DELETE ON checkpoints, checkpoint_blobs, checkpoint_writes, store TO agentic_tenant;
    GRANT SELECT, INSERT, UPDATE ON thread_fences TO agentic_tenant;
    GRANT USAGE ON SEQUENCE thread_fence_epochs TO agentic_tenant;
    GRANT SELECT, INSERT ON session_events, workflow_sessions TO agentic_tenant;
    GRANT UPDATE (
        workflow_name, status, input_data, output_data, error, thread_id, run, started_at, updated_at, completed_at
    ) ON workflow_sessions TO agentic_tenant;
    GRANT SELECT (role_name, namespace, database_name) ON tenants TO agentic_tenant;
    GRANT SELECT, UPDATE (seen_at) ON tenants TO agentic_operator;
    -- What is kept for a graph's long-term memory goes with its namespace, where that is wanted.
    GRANT SELECT, DELETE ON store TO agentic_operator;
    GRANT EXECUTE ON FUNCTION agentic_tenancy_obstacle(), agentic_make_tenant(text, text), agentic_drop_tenant(name)
        TO agentic_operator;

    FOR bound IN
        SELECT relation, condition
        FROM (VALUES
            ('checkpoints', thread),
            ('checkpoint_blobs', thread),
            ('checkpoint_writes', thread),
            ('thread_fences', thread),
            -- A row that names a thread of somebody else would have that purged when its session is deleted.
            ('workflow_sessions', format('%s AND %s', project, thread)),
            ('session_events',
                'EXISTS (SELECT 1 FROM workflow_sessions AS s WHERE s.session_uid = session_events.session_uid)'),
            ('store', format('split_part(prefix, ''.'', 1) = (SELECT ''project-'' || tenants.namespace %s)', own)),
            ('tenants', 'role_name = CURRENT_USER AND database_name = current_database()'),
            ('agentic_migrations', NULL),
            ('checkpoint_migrations', NULL),
            ('store_migrations', NULL)
        ) AS tables (relation, condition)
    LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = bound.relation::regclass AND polname = 'agentic_all') THEN
            EXECUTE format(
                CASE WHEN bound.condition IS NULL
                    -- Version tables hold nothing of anybody's: whoever may read them at all sees them.
                    THEN 'CREATE POLICY agentic_all ON %I FOR SELECT TO PUBLIC USING (true)'
                    ELSE 'CREATE POLICY agentic_all ON %I TO agentic_operator, agentic_runner USING (true) WITH CHECK (true)'
                END,
                bound.relation
            );
        END IF;
        IF bound.condition IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM pg_policy WHERE polrelid = bound.relation::regclass AND polname = 'agentic_own'
        ) THEN
            EXECUTE format('CREATE POLICY agentic_own ON %I TO agentic_tenant USING (%s)', bound.relation, bound.condition);
        END IF;
        -- Asked first: it takes an exclusive lock at every repetition.
        IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = bound.relation::regclass) THEN
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', bound.relation);
        END IF;
    END LOOP;
END
$$;
