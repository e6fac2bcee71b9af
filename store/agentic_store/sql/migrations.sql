-- What applying migrations asks of the database, beside the migrations themselves.

-- name: prepare_session
SELECT
    set_config('client_min_messages', 'warning', false),
    -- A statement that waits for a table in use holds up everybody behind it: it gives up soon, and is tried again.
    set_config('lock_timeout', '900ms', false),
    set_config('statement_timeout', '0', false),
    -- A frozen or cut-off migration gives its locks back.
    set_config('idle_in_transaction_session_timeout', '60s', false),
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false);

-- name: only_reads
SELECT current_setting('transaction_read_only') = 'on';

-- name: lost_path
SELECT current_setting('search_path') WHERE current_schema() IS NULL;

-- name: try_lock
SELECT pg_try_advisory_lock(%(key)s);

-- name: lock_holder
SELECT format('%%s (process %%s of the server, connected %%s ago)',
    coalesce(nullif(holder.application_name, ''), 'a client without a name'),
    holder.pid,
    date_trunc('second', clock_timestamp() - holder.backend_start))
FROM pg_locks AS held
JOIN pg_stat_activity AS holder USING (pid)
WHERE held.locktype = 'advisory'
    AND held.granted
    AND held.objsubid = 1
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (held.classid::bigint << 32 | held.objid::bigint) = %(key)s;

-- Who holds a lock on a table of this schema at this moment, where a statement waited for one in vain.

-- name: table_holders
SELECT string_agg(
    format('%%s (process %%s of the server, %%s) holds %%s',
        coalesce(nullif(holder.application_name, ''), 'a client without a name'), pid, holder.state, tables),
    '; ' ORDER BY pid)
FROM (
    SELECT held.pid, string_agg(DISTINCT relname, ', ') AS tables
    FROM pg_locks AS held
    JOIN pg_class AS relation ON relation.oid = held.relation AND relation.relkind = 'r'
    WHERE held.granted
        AND held.pid <> pg_backend_pid()
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND relation.relnamespace = current_schema()::regnamespace
    GROUP BY held.pid
) AS held
JOIN pg_stat_activity AS holder USING (pid);

-- name: create_table
CREATE TABLE IF NOT EXISTS agentic_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: table_exists
SELECT to_regclass('agentic_migrations') IS NOT NULL;

-- name: applied
SELECT version, name, checksum, applied_at FROM agentic_migrations ORDER BY version;

-- name: record
INSERT INTO agentic_migrations (version, name, checksum) VALUES (%(version)s, %(name)s, %(checksum)s);

-- name: forget
DELETE FROM agentic_migrations WHERE version = %(version)s;

-- name: unfinished_index
SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%(name)s)) AND NOT indisvalid;

-- name: has_vectors
SELECT to_regclass('store_vectors') IS NOT NULL;

-- What vectors.up.sql reads, for its transaction.

-- name: set_vectors
SELECT
    set_config('agentic.vector_dims', %(dims)s, false), set_config('agentic.vectors_checksum', %(checksum)s, false);

-- The dimension of a type is its modifier.

-- name: vector_dims
SELECT atttypmod
FROM pg_attribute
WHERE attrelid = to_regclass('store_vectors')
    AND attname = 'embedding'
    AND format_type(atttypid, NULL) LIKE '%%vector'
    AND NOT attisdropped;
