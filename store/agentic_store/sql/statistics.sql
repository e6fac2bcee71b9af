-- How large the database is and what it is busy with, from what the server counts anyway.

-- name: prepare
SELECT set_config('lock_timeout', '1s', true), set_config('statement_timeout', '10s', true);

-- name: database
SELECT pg_database_size(current_database()) AS bytes, to_regclass('pg_stat_statements') IS NOT NULL AS has_statements;

-- name: tables
SELECT
    relname AS name,
    pg_total_relation_size(relid) AS bytes,
    n_live_tup AS rows,
    n_dead_tup AS dead_rows
FROM pg_stat_user_tables
WHERE schemaname = current_schema()
ORDER BY relname
LIMIT 50;

-- name: indexes
SELECT indexrelname AS name, pg_relation_size(indexrelid) AS bytes
FROM pg_stat_user_indexes
WHERE schemaname = current_schema()
ORDER BY indexrelname
LIMIT 100;

-- Never the text of a statement: some, such as the change of a password, hold what nobody should read here.

-- name: statements
SELECT queryid::text AS queryid, sum(calls)::bigint AS calls, sum(total_exec_time) / 1000 AS seconds
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NOT NULL
GROUP BY queryid
ORDER BY seconds DESC
LIMIT 5;
