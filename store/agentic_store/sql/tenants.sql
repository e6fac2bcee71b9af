-- Tenants: the login roles of namespaces. What makes and drops roles is in functions of the migration.

-- name: obstacle
SELECT agentic_tenancy_obstacle() AS obstacle;

-- name: make
SELECT agentic_make_tenant(%(namespace)s, %(verifier)s) AS role_name;

-- name: list
SELECT
    tenants.role_name,
    tenants.namespace,
    tenants.database_name = current_database() AND coalesce(pg_roles.rolcanlogin, false) AS is_valid,
    tenants.retired_at,
    tenants.seen_at
FROM tenants
LEFT JOIN pg_roles ON pg_roles.rolname = tenants.role_name
ORDER BY tenants.namespace, tenants.made_at;

-- name: has_current
SELECT EXISTS (
    SELECT 1
    FROM tenants
    JOIN pg_roles ON pg_roles.rolname = tenants.role_name
    WHERE tenants.role_name = %(role_name)s
        AND tenants.namespace = %(namespace)s
        AND tenants.database_name = current_database()
        AND tenants.retired_at IS NULL
) AS has_current;

-- name: note_connected
UPDATE tenants SET seen_at = now()
WHERE retired_at IS NOT NULL AND role_name IN (SELECT usename FROM pg_stat_activity);

-- name: settle
SELECT agentic_settle_tenants() AS role_name;

-- name: drop
SELECT agentic_drop_tenant(%(role_name)s) AS dropped;

-- name: purge_memory
DELETE FROM store WHERE split_part(prefix, '.', 1) = %(label)s;
