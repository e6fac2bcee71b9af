-- What a new connection says of itself before anything relies on it.

-- A role may say how its connections begin (ALTER ROLE CURRENT_USER SET ...). What it says of the settings that we rely
-- on is put back to what the database or the server says, and of a tenant's role, which nobody but us sets anything for,
-- all of it. What the database, the server or the connection string says is the administrator's, and stays.

-- name: ask
SELECT
    pg_catalog.pg_backend_pid() AS pid,
    EXISTS (
        SELECT FROM pg_catalog.pg_db_role_setting WHERE setrole = session_user::pg_catalog.regrole
    ) AS says;

-- Only where it says anything: to plan this costs a new connection more than all the rest.

-- name: settle
WITH own AS (
    SELECT
        oid,
        EXISTS (
            SELECT 1
            FROM pg_catalog.pg_auth_members AS held
            JOIN pg_catalog.pg_roles AS tenant ON tenant.oid = held.roleid
            WHERE held.member = pg_roles.oid AND tenant.rolname = 'agentic_tenant'
        ) AS is_tenant
    FROM pg_catalog.pg_roles
    WHERE rolname = session_user
), said AS (
    SELECT DISTINCT split_part(setting, '=', 1) AS name, is_tenant
    FROM own
    JOIN pg_catalog.pg_db_role_setting ON setrole = own.oid
        AND setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
    CROSS JOIN unnest(setconfig) AS setting
), meant AS (
    SELECT
        said.name,
        coalesce(
            (
                SELECT substr(setting, length(said.name) + 2)
                FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS setting
                WHERE setrole = 0
                    AND setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
                    AND split_part(setting, '=', 1) = said.name
            ),
            (SELECT boot_val FROM pg_catalog.pg_settings WHERE pg_settings.name = said.name),
            'none'
        ) AS value
    FROM said
    WHERE said.name <> 'application_name'
        AND (said.is_tenant OR said.name = ANY(%(settings)s))
        AND coalesce(
            (
                SELECT source IN ('user', 'database user') AND context = 'user'
                FROM pg_catalog.pg_settings
                WHERE pg_settings.name = said.name
            ),
            said.name = 'role'
        )
)
SELECT array_agg(name ORDER BY name) AS settled FROM meant WHERE pg_catalog.set_config(name, value, false) IS NOT NULL;
