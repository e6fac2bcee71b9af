-- Compares a database with what the migrations make; reads the catalog and nothing else. `verify_migration.sh` and
-- `agentic migrate verify` run it. What is more than expected is no fault: a newer library may have added to it.

-- name: checks
WITH made (kind, relation, definition) AS (VALUES
    -- Written by `python -m tests.support.expected_schema`.
    ('table', 'agentic_migrations', ''),
    ('column', 'agentic_migrations', 'applied_at timestamp with time zone not null default now()'),
    ('column', 'agentic_migrations', 'checksum text not null'),
    ('column', 'agentic_migrations', 'name text not null'),
    ('column', 'agentic_migrations', 'oldest_program integer not null default 13'),
    ('column', 'agentic_migrations', 'version integer not null'),
    ('primary key', 'agentic_migrations', 'PRIMARY KEY (version)'),
    ('rule', 'agentic_migrations', 'policy agentic_all for r'),
    ('rule', 'agentic_migrations', 'row-level security'),
    ('version', 'agentic_migrations', 'version of 21'),
    ('table', 'checkpoint_blobs', ''),
    ('column', 'checkpoint_blobs', 'blob bytea'),
    ('column', 'checkpoint_blobs', 'channel text not null'),
    ('column', 'checkpoint_blobs', 'checkpoint_ns text not null default ''''::text'),
    ('column', 'checkpoint_blobs', 'thread_id text not null'),
    ('column', 'checkpoint_blobs', 'type text not null'),
    ('column', 'checkpoint_blobs', 'version text not null'),
    ('primary key', 'checkpoint_blobs', 'PRIMARY KEY (thread_id, checkpoint_ns, channel, version)'),
    ('index', 'checkpoint_blobs', 'INDEX checkpoint_blobs_thread_id_idx ON checkpoint_blobs USING btree (thread_id)'),
    ('rule', 'checkpoint_blobs', 'policy agentic_all for *'),
    ('rule', 'checkpoint_blobs', 'policy agentic_own for *'),
    ('rule', 'checkpoint_blobs', 'row-level security'),
    ('rule', 'checkpoint_blobs', 'trigger agentic_fence calls agentic_check_fence'),
    ('table', 'checkpoint_migrations', ''),
    ('column', 'checkpoint_migrations', 'v integer not null'),
    ('primary key', 'checkpoint_migrations', 'PRIMARY KEY (v)'),
    ('rule', 'checkpoint_migrations', 'policy agentic_all for r'),
    ('rule', 'checkpoint_migrations', 'row-level security'),
    ('version', 'checkpoint_migrations', 'v of 9'),
    ('table', 'checkpoint_writes', ''),
    ('column', 'checkpoint_writes', 'blob bytea not null'),
    ('column', 'checkpoint_writes', 'channel text not null'),
    ('column', 'checkpoint_writes', 'checkpoint_id text not null'),
    ('column', 'checkpoint_writes', 'checkpoint_ns text not null default ''''::text'),
    ('column', 'checkpoint_writes', 'idx integer not null'),
    ('column', 'checkpoint_writes', 'task_id text not null'),
    ('column', 'checkpoint_writes', 'task_path text not null default ''''::text'),
    ('column', 'checkpoint_writes', 'thread_id text not null'),
    ('column', 'checkpoint_writes', 'type text'),
    ('primary key', 'checkpoint_writes', 'PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)'),
    ('index', 'checkpoint_writes', 'INDEX checkpoint_writes_thread_id_idx ON checkpoint_writes USING btree (thread_id)'),
    ('rule', 'checkpoint_writes', 'policy agentic_all for *'),
    ('rule', 'checkpoint_writes', 'policy agentic_own for *'),
    ('rule', 'checkpoint_writes', 'row-level security'),
    ('rule', 'checkpoint_writes', 'trigger agentic_fence calls agentic_check_fence'),
    ('table', 'checkpoints', ''),
    ('column', 'checkpoints', 'checkpoint jsonb not null'),
    ('column', 'checkpoints', 'checkpoint_id text not null'),
    ('column', 'checkpoints', 'checkpoint_ns text not null default ''''::text'),
    ('column', 'checkpoints', 'metadata jsonb not null default ''{}''::jsonb'),
    ('column', 'checkpoints', 'parent_checkpoint_id text'),
    ('column', 'checkpoints', 'thread_id text not null'),
    ('column', 'checkpoints', 'type text'),
    ('primary key', 'checkpoints', 'PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)'),
    ('index', 'checkpoints', 'INDEX checkpoints_thread_id_idx ON checkpoints USING btree (thread_id)'),
    ('rule', 'checkpoints', 'policy agentic_all for *'),
    ('rule', 'checkpoints', 'policy agentic_own for *'),
    ('rule', 'checkpoints', 'row-level security'),
    ('rule', 'checkpoints', 'trigger agentic_fence calls agentic_check_fence'),
    ('rule', 'checkpoints', 'trigger agentic_parent calls agentic_check_parent'),
    ('table', 'event_interest', ''),
    ('column', 'event_interest', 'hint text not null'),
    ('column', 'event_interest', 'until timestamp with time zone not null'),
    ('primary key', 'event_interest', 'PRIMARY KEY (hint)'),
    ('rule', 'event_interest', 'event_interest_hint_check CHECK (hint ~ ''^[0-9a-f]{32}$''::text)'),
    ('rule', 'event_interest', 'policy agentic_all for r'),
    ('rule', 'event_interest', 'policy agentic_gateway for *'),
    ('rule', 'event_interest', 'row-level security'),
    ('table', 'gateway_idempotency', ''),
    ('column', 'gateway_idempotency', 'created_at timestamp with time zone not null default now()'),
    ('column', 'gateway_idempotency', 'expires_at timestamp with time zone not null'),
    ('column', 'gateway_idempotency', 'key text not null'),
    ('column', 'gateway_idempotency', 'request_digest bytea not null'),
    ('column', 'gateway_idempotency', 'response jsonb'),
    ('column', 'gateway_idempotency', 'route text not null'),
    ('column', 'gateway_idempotency', 'username text not null'),
    ('primary key', 'gateway_idempotency', 'PRIMARY KEY (username, route, key)'),
    ('index', 'gateway_idempotency', 'INDEX gateway_idempotency_expires_idx ON gateway_idempotency USING btree (expires_at)'),
    ('rule', 'gateway_idempotency', 'gateway_idempotency_digest_check CHECK (octet_length(request_digest) = 32)'),
    ('rule', 'gateway_idempotency', 'gateway_idempotency_key_check CHECK (length(key) >= 1 AND length(key) <= 255)'),
    ('rule', 'gateway_idempotency', 'policy agentic_gateway for *'),
    ('rule', 'gateway_idempotency', 'row-level security'),
    ('table', 'gateway_logins', ''),
    ('column', 'gateway_logins', 'created_at timestamp with time zone not null default now()'),
    ('column', 'gateway_logins', 'expires_at timestamp with time zone not null'),
    ('column', 'gateway_logins', 'hash bytea not null'),
    ('column', 'gateway_logins', 'refreshing_until timestamp with time zone'),
    ('column', 'gateway_logins', 'sealed bytea not null'),
    ('column', 'gateway_logins', 'username text not null'),
    ('column', 'gateway_logins', 'version integer not null default 0'),
    ('primary key', 'gateway_logins', 'PRIMARY KEY (hash)'),
    ('index', 'gateway_logins', 'INDEX gateway_logins_expires_idx ON gateway_logins USING btree (expires_at)'),
    ('rule', 'gateway_logins', 'gateway_logins_hash_check CHECK (octet_length(hash) = 32)'),
    ('rule', 'gateway_logins', 'policy agentic_gateway for *'),
    ('rule', 'gateway_logins', 'row-level security'),
    ('table', 'gateway_tickets', ''),
    ('column', 'gateway_tickets', 'channel text not null'),
    ('column', 'gateway_tickets', 'created_at timestamp with time zone not null default now()'),
    ('column', 'gateway_tickets', 'expires_at timestamp with time zone not null'),
    ('column', 'gateway_tickets', 'hash bytea not null'),
    ('column', 'gateway_tickets', 'namespace text not null'),
    ('column', 'gateway_tickets', 'sealed bytea not null'),
    ('column', 'gateway_tickets', 'session_name text not null'),
    ('column', 'gateway_tickets', 'session_uid text not null'),
    ('column', 'gateway_tickets', 'username text not null'),
    ('primary key', 'gateway_tickets', 'PRIMARY KEY (hash)'),
    ('index', 'gateway_tickets', 'INDEX gateway_tickets_expires_idx ON gateway_tickets USING btree (expires_at)'),
    ('rule', 'gateway_tickets', 'gateway_tickets_hash_check CHECK (octet_length(hash) = 32)'),
    ('rule', 'gateway_tickets', 'policy agentic_gateway for *'),
    ('rule', 'gateway_tickets', 'row-level security'),
    ('table', 'session_answers', ''),
    ('column', 'session_answers', 'answered_by text generated as entry::jsonb ->> ''by''::text'),
    ('column', 'session_answers', 'entry text not null'),
    ('column', 'session_answers', 'hash text not null'),
    ('column', 'session_answers', 'interrupt_id text generated as entry::jsonb ->> ''interruptId''::text'),
    ('column', 'session_answers', 'kind text generated as entry::jsonb ->> ''kind''::text'),
    ('column', 'session_answers', 'message text'),
    ('column', 'session_answers', 'project_name text not null'),
    ('column', 'session_answers', 'seq bigint not null'),
    ('column', 'session_answers', 'session_name text not null'),
    ('column', 'session_answers', 'session_uid text not null'),
    ('column', 'session_answers', 'stored_at timestamp with time zone not null default now()'),
    ('column', 'session_answers', 'value text'),
    ('primary key', 'session_answers', 'PRIMARY KEY (session_uid, seq)'),
    ('index', 'session_answers', 'INDEX session_answers_name_idx ON session_answers USING btree (project_name, session_name, session_uid, seq)'),
    ('index', 'session_answers', 'INDEX session_answers_stored_idx ON session_answers USING btree (stored_at)'),
    ('rule', 'session_answers', 'policy agentic_add for a'),
    ('rule', 'session_answers', 'policy agentic_all for r'),
    ('rule', 'session_answers', 'policy agentic_gateway for r'),
    ('rule', 'session_answers', 'policy agentic_own for *'),
    ('rule', 'session_answers', 'row-level security'),
    ('rule', 'session_answers', 'session_answers_entry_check CHECK (((entry::jsonb ->> ''seq''::text)::bigint) = seq)'),
    ('rule', 'session_answers', 'session_answers_hash_check CHECK (hash = encode(sha256(convert_to(entry, ''UTF8''::name)), ''hex''::text))'),
    ('rule', 'session_answers', 'session_answers_seq_check CHECK (seq > 0)'),
    ('rule', 'session_answers', 'trigger agentic_keep calls agentic_keep_answers'),
    ('table', 'session_events', ''),
    ('column', 'session_events', 'at timestamp with time zone not null default now()'),
    ('column', 'session_events', 'data jsonb not null default ''{}''::jsonb'),
    ('column', 'session_events', 'run integer not null'),
    ('column', 'session_events', 'seq bigint not null'),
    ('column', 'session_events', 'session_uid text not null'),
    ('column', 'session_events', 'since bigint'),
    ('column', 'session_events', 'turn integer not null default 0'),
    ('column', 'session_events', 'type text not null'),
    ('primary key', 'session_events', 'PRIMARY KEY (session_uid, seq)'),
    ('index', 'session_events', 'INDEX session_events_open_idx ON session_events USING btree (session_uid, turn) WHERE type = ''message-start''::text'),
    ('rule', 'session_events', 'policy agentic_all for *'),
    ('rule', 'session_events', 'policy agentic_gateway for r'),
    ('rule', 'session_events', 'policy agentic_own for *'),
    ('rule', 'session_events', 'row-level security'),
    ('rule', 'session_events', 'session_events_seq_check CHECK (seq > 0)'),
    ('rule', 'session_events', 'session_events_session_uid_fkey FOREIGN KEY (session_uid) REFERENCES workflow_sessions(session_uid) ON DELETE CASCADE'),
    ('rule', 'session_events', 'trigger agentic_bound calls agentic_bound_event'),
    ('rule', 'session_events', 'trigger agentic_fence calls agentic_check_fence'),
    ('table', 'session_turns', ''),
    ('column', 'session_turns', 'author text not null default ''''::text'),
    ('column', 'session_turns', 'checkpoint_id text'),
    ('column', 'session_turns', 'command jsonb'),
    ('column', 'session_turns', 'created_at timestamp with time zone not null default now()'),
    ('column', 'session_turns', 'error jsonb'),
    ('column', 'session_turns', 'finished_at timestamp with time zone'),
    ('column', 'session_turns', 'input jsonb'),
    ('column', 'session_turns', 'name text not null'),
    ('column', 'session_turns', 'number integer not null'),
    ('column', 'session_turns', 'output jsonb'),
    ('column', 'session_turns', 'phase text not null default ''running''::text'),
    ('column', 'session_turns', 'project_name text not null'),
    ('column', 'session_turns', 'run integer not null default 0'),
    ('column', 'session_turns', 'session_name text not null'),
    ('column', 'session_turns', 'session_uid text not null'),
    ('column', 'session_turns', 'started_at timestamp with time zone'),
    ('primary key', 'session_turns', 'PRIMARY KEY (session_uid, number)'),
    ('index', 'session_turns', 'UNIQUE INDEX session_turns_name_key ON session_turns USING btree (session_uid, name)'),
    ('rule', 'session_turns', 'policy agentic_all for *'),
    ('rule', 'session_turns', 'policy agentic_gateway for r'),
    ('rule', 'session_turns', 'policy agentic_own for *'),
    ('rule', 'session_turns', 'row-level security'),
    ('rule', 'session_turns', 'session_turns_finished_check CHECK ((phase = ''running''::text) = (finished_at IS NULL))'),
    ('rule', 'session_turns', 'session_turns_name_key UNIQUE (session_uid, name)'),
    ('rule', 'session_turns', 'session_turns_number_check CHECK (number > 0)'),
    ('rule', 'session_turns', 'session_turns_output_size_check CHECK (pg_column_size(output) < 104857600)'),
    ('rule', 'session_turns', 'session_turns_phase_check CHECK (phase = ANY (ARRAY[''running''::text, ''completed''::text, ''failed''::text, ''canceled''::text]))'),
    ('rule', 'session_turns', 'session_turns_run_check CHECK (run >= 0)'),
    ('rule', 'session_turns', 'session_turns_session_uid_fkey FOREIGN KEY (session_uid) REFERENCES workflow_sessions(session_uid) ON DELETE CASCADE'),
    ('rule', 'session_turns', 'session_turns_times_check CHECK (LEAST(created_at, started_at, finished_at) > ''0001-01-02 00:00:00+00''::timestamp with time zone AND GREATEST(created_at, started_at, finished_at) < ''9999-12-30 00:00:00+00''::timestamp with time zone)'),
    ('rule', 'session_turns', 'trigger agentic_fence calls agentic_check_fence'),
    ('rule', 'session_turns', 'trigger agentic_keep calls agentic_keep_turn_ends'),
    ('table', 'store', ''),
    ('column', 'store', 'created_at timestamp with time zone default CURRENT_TIMESTAMP'),
    ('column', 'store', 'expires_at timestamp with time zone'),
    ('column', 'store', 'key text not null'),
    ('column', 'store', 'prefix text not null'),
    ('column', 'store', 'ttl_minutes integer'),
    ('column', 'store', 'updated_at timestamp with time zone default CURRENT_TIMESTAMP'),
    ('column', 'store', 'value jsonb not null'),
    ('primary key', 'store', 'PRIMARY KEY (prefix, key)'),
    ('index', 'store', 'INDEX idx_store_expires_at ON store USING btree (expires_at) WHERE expires_at IS NOT NULL'),
    ('index', 'store', 'INDEX store_prefix_idx ON store USING btree (prefix text_pattern_ops)'),
    ('rule', 'store', 'policy agentic_all for *'),
    ('rule', 'store', 'policy agentic_own for *'),
    ('rule', 'store', 'row-level security'),
    ('table', 'store_migrations', ''),
    ('column', 'store_migrations', 'v integer not null'),
    ('primary key', 'store_migrations', 'PRIMARY KEY (v)'),
    ('rule', 'store_migrations', 'policy agentic_all for r'),
    ('rule', 'store_migrations', 'row-level security'),
    ('version', 'store_migrations', 'v of 3'),
    ('table', 'tenants', ''),
    ('column', 'tenants', 'database_name name not null default current_database()'),
    ('column', 'tenants', 'made_at timestamp with time zone not null default now()'),
    ('column', 'tenants', 'namespace text not null'),
    ('column', 'tenants', 'retired_at timestamp with time zone'),
    ('column', 'tenants', 'role_name name not null'),
    ('column', 'tenants', 'seen_at timestamp with time zone'),
    ('primary key', 'tenants', 'PRIMARY KEY (role_name)'),
    ('index', 'tenants', 'UNIQUE INDEX tenants_current_key ON tenants USING btree (database_name, namespace) WHERE retired_at IS NULL'),
    ('rule', 'tenants', 'policy agentic_all for *'),
    ('rule', 'tenants', 'policy agentic_own for *'),
    ('rule', 'tenants', 'row-level security'),
    ('rule', 'tenants', 'tenants_namespace_check CHECK (namespace ~ ''^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$''::text)'),
    ('table', 'thread_fences', ''),
    ('column', 'thread_fences', 'epoch bigint not null'),
    ('column', 'thread_fences', 'failures integer not null default 0'),
    ('column', 'thread_fences', 'holder text not null'),
    ('column', 'thread_fences', 'number bigint default nextval(''thread_fence_epochs''::regclass)'),
    ('column', 'thread_fences', 'run integer not null'),
    ('column', 'thread_fences', 'session_created_at timestamp with time zone'),
    ('column', 'thread_fences', 'session_uid text not null'),
    ('column', 'thread_fences', 'taken_at timestamp with time zone not null default now()'),
    ('column', 'thread_fences', 'thread_id text not null'),
    ('primary key', 'thread_fences', 'PRIMARY KEY (thread_id)'),
    ('index', 'thread_fences', 'INDEX thread_fences_session_uid_idx ON thread_fences USING btree (session_uid)'),
    ('index', 'thread_fences', 'UNIQUE INDEX thread_fences_number_key ON thread_fences USING btree (number)'),
    ('rule', 'thread_fences', 'policy agentic_all for *'),
    ('rule', 'thread_fences', 'policy agentic_own for *'),
    ('rule', 'thread_fences', 'row-level security'),
    ('table', 'thread_values', ''),
    ('column', 'thread_values', 'at timestamp with time zone not null default now()'),
    ('column', 'thread_values', 'channels text[] not null default ''{}''::text[]'),
    ('column', 'thread_values', 'checkpoint_id text'),
    ('column', 'thread_values', 'keeps_history boolean not null default false'),
    ('column', 'thread_values', 'run integer not null'),
    ('column', 'thread_values', 'session_uid text not null'),
    ('column', 'thread_values', 'state json'),
    ('column', 'thread_values', 'turn integer not null default 0'),
    ('primary key', 'thread_values', 'PRIMARY KEY (session_uid)'),
    ('rule', 'thread_values', 'policy agentic_all for *'),
    ('rule', 'thread_values', 'policy agentic_gateway for r'),
    ('rule', 'thread_values', 'policy agentic_own for *'),
    ('rule', 'thread_values', 'row-level security'),
    ('rule', 'thread_values', 'thread_values_channels_check CHECK (pg_column_size(channels) <= 65536)'),
    ('rule', 'thread_values', 'thread_values_checkpoint_check CHECK (length(checkpoint_id) <= 128)'),
    ('rule', 'thread_values', 'thread_values_session_uid_fkey FOREIGN KEY (session_uid) REFERENCES workflow_sessions(session_uid) ON DELETE CASCADE'),
    ('rule', 'thread_values', 'thread_values_state_check CHECK (octet_length(state::text) <= 1048576)'),
    ('rule', 'thread_values', 'trigger agentic_fence calls agentic_check_fence'),
    ('table', 'workflow_sessions', ''),
    ('column', 'workflow_sessions', 'checkpoints_kept text not null default ''all''::text'),
    ('column', 'workflow_sessions', 'completed_at timestamp with time zone'),
    ('column', 'workflow_sessions', 'created_at timestamp with time zone not null default now()'),
    ('column', 'workflow_sessions', 'error jsonb'),
    ('column', 'workflow_sessions', 'input_data jsonb'),
    ('column', 'workflow_sessions', 'output_data jsonb'),
    ('column', 'workflow_sessions', 'project_name text not null'),
    ('column', 'workflow_sessions', 'run integer not null default 0'),
    ('column', 'workflow_sessions', 'session_name text not null'),
    ('column', 'workflow_sessions', 'session_uid text not null'),
    ('column', 'workflow_sessions', 'started_at timestamp with time zone'),
    ('column', 'workflow_sessions', 'status text not null default ''pending''::text'),
    ('column', 'workflow_sessions', 'thread_id text not null'),
    ('column', 'workflow_sessions', 'updated_at timestamp with time zone not null default now()'),
    ('column', 'workflow_sessions', 'workflow_name text not null'),
    ('column', 'workflow_sessions', 'workflow_version text generated as input_data ->> ''workflow_version''::text'),
    ('primary key', 'workflow_sessions', 'PRIMARY KEY (session_uid)'),
    ('index', 'workflow_sessions', 'INDEX workflow_sessions_ended_idx ON workflow_sessions USING btree (project_name, checkpoints_kept, completed_at, session_uid) WHERE completed_at IS NOT NULL AND checkpoints_kept <> ''none''::text'),
    ('index', 'workflow_sessions', 'INDEX workflow_sessions_input_data_gin_idx ON workflow_sessions USING gin (input_data jsonb_path_ops)'),
    ('index', 'workflow_sessions', 'INDEX workflow_sessions_list_idx ON workflow_sessions USING btree (project_name, created_at DESC, session_name DESC)'),
    ('index', 'workflow_sessions', 'INDEX workflow_sessions_version_idx ON workflow_sessions USING btree (project_name, workflow_version, created_at DESC, session_name DESC) WHERE octet_length(workflow_version) <= 128'),
    ('index', 'workflow_sessions', 'UNIQUE INDEX workflow_sessions_name_key ON workflow_sessions USING btree (project_name, session_name)'),
    ('rule', 'workflow_sessions', 'policy agentic_all for *'),
    ('rule', 'workflow_sessions', 'policy agentic_gateway for r'),
    ('rule', 'workflow_sessions', 'policy agentic_own for *'),
    ('rule', 'workflow_sessions', 'row-level security'),
    ('rule', 'workflow_sessions', 'trigger agentic_fence calls agentic_check_fence'),
    ('rule', 'workflow_sessions', 'workflow_sessions_completed_check CHECK ((status = ANY (ARRAY[''completed''::text, ''failed''::text, ''stopped''::text])) = (completed_at IS NOT NULL))'),
    ('rule', 'workflow_sessions', 'workflow_sessions_kept_check CHECK (checkpoints_kept = ANY (ARRAY[''all''::text, ''needed''::text, ''none''::text]))'),
    ('rule', 'workflow_sessions', 'workflow_sessions_name_key UNIQUE (project_name, session_name)'),
    ('rule', 'workflow_sessions', 'workflow_sessions_output_size_check CHECK (pg_column_size(output_data) < 104857600)'),
    ('rule', 'workflow_sessions', 'workflow_sessions_run_check CHECK (run >= 0)'),
    ('rule', 'workflow_sessions', 'workflow_sessions_status_check CHECK (status = ANY (ARRAY[''pending''::text, ''creating''::text, ''running''::text, ''waiting_for_input''::text, ''idle''::text, ''suspended''::text, ''completed''::text, ''failed''::text, ''stopped''::text]))'),
    ('rule', 'workflow_sessions', 'workflow_sessions_thread_check CHECK (NOT starts_with(thread_id, ''project-''::text) OR starts_with(thread_id, (''project-''::text || project_name) || '':''::text))'),
    ('rule', 'workflow_sessions', 'workflow_sessions_times_check CHECK (LEAST(created_at, started_at, updated_at, completed_at) > ''0001-01-02 00:00:00+00''::timestamp with time zone AND GREATEST(created_at, started_at, updated_at, completed_at) < ''9999-12-30 00:00:00+00''::timestamp with time zone)')
    -- End of what is written.
),
-- Where the roles that the rules of tenancy are about may not be made, the migrations leave these rules out.
expected AS (
    SELECT *
    FROM made
    WHERE definition NOT LIKE 'policy %'
        AND definition <> 'row-level security'
        OR 3 = (SELECT count(*) FROM pg_roles WHERE rolname IN ('agentic_operator', 'agentic_runner', 'agentic_tenant'))
),
relations AS (
    SELECT DISTINCT to_regclass(quote_ident(relation)) AS relid, relation FROM expected
),
found (kind, relation, definition, fault) AS (
    SELECT 'table', relation, '', NULL
    FROM relations JOIN pg_class ON pg_class.oid = relid
    WHERE relkind IN ('r', 'p')
    UNION ALL
    SELECT 'column', relation,
        format('%s %s%s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' END,
            CASE WHEN attgenerated = '' THEN ' default ' ELSE ' generated as ' END || pg_get_expr(adbin, adrelid, true)),
        NULL
    FROM relations
    JOIN pg_attribute ON attrelid = relid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = relid AND adnum = attnum
    UNION ALL
    SELECT 'primary key', relation, pg_get_constraintdef(pg_constraint.oid, true), NULL
    FROM relations JOIN pg_constraint ON conrelid = relid AND contype = 'p'
    UNION ALL
    SELECT 'index', relation, replace(pg_get_indexdef(indexrelid, 0, true), 'CREATE ', ''),
        CASE WHEN NOT indisvalid THEN 'is invalid: its build was interrupted' END
    FROM relations JOIN pg_index ON indrelid = relid
    WHERE NOT indisprimary
    UNION ALL
    SELECT 'rule', relation,
        format('%s %s', conname, replace(pg_get_constraintdef(pg_constraint.oid, true), ' NOT VALID', '')), NULL
    FROM relations JOIN pg_constraint ON conrelid = relid AND contype IN ('c', 'f', 'u')
    UNION ALL
    SELECT 'rule', relation, format('trigger %s calls %s', tgname, proname),
        CASE WHEN tgenabled IN ('D', 'R') THEN 'is disabled' END
    FROM relations JOIN pg_trigger ON tgrelid = relid AND NOT tgisinternal JOIN pg_proc ON pg_proc.oid = tgfoid
    UNION ALL
    SELECT 'rule', relation, 'row-level security', NULL
    FROM relations JOIN pg_class ON pg_class.oid = relid
    WHERE relrowsecurity
    UNION ALL
    SELECT 'rule', relation, format('policy %s for %s', polname, polcmd), NULL
    FROM relations JOIN pg_policy ON polrelid = relid
    UNION ALL
    -- Asked as text, because a statement that names a missing table is refused as a whole.
    SELECT 'version', relation, format('%s of %s', column_name, version),
        CASE WHEN version::bigint <> count::bigint - 1 + lowest::bigint THEN 'has gaps before it' END
    FROM (
        SELECT relation, column_name, substring(answer FROM '<n>(\d+)</n>') AS version,
            substring(answer FROM '<c>(\d+)</c>') AS count, substring(answer FROM '<l>(\d+)</l>') AS lowest
        FROM relations
        JOIN (VALUES ('agentic_migrations', 'version'), ('checkpoint_migrations', 'v'), ('store_migrations', 'v'))
            AS counted (name, column_name) ON name = relation
        JOIN pg_attribute ON attrelid = relid AND attname = column_name AND NOT attisdropped
        CROSS JOIN LATERAL (
            SELECT query_to_xml(
                format('SELECT max(%1$I) AS n, count(*) AS c, min(%1$I) AS l FROM %2$I', column_name, relation),
                false, true, ''
            )::text
        ) AS asked (answer)
    ) AS versions
    WHERE version IS NOT NULL
),
faults (kind, said) AS (
    SELECT DISTINCT kind,
        CASE
            WHEN found.relation IS NOT NULL THEN format('%s %s', named, fault)
            WHEN relid IS NULL AND kind <> 'table' THEN format('%s: the table is missing', relation)
            ELSE format('%s is missing%s', named, instead)
        END
    FROM expected
    JOIN relations USING (relation)
    LEFT JOIN found USING (kind, relation, definition)
    CROSS JOIN LATERAL (SELECT
        CASE kind
            WHEN 'table' THEN relation
            WHEN 'index' THEN definition
            WHEN 'version' THEN format('%s %s', relation, definition)
            ELSE format('%s: %s', relation, definition)
        END,
        -- What has the name, and is something else.
        (
            SELECT format(' (found: %s)', other.definition)
            FROM found AS other
            WHERE other.kind = expected.kind
                AND other.relation = expected.relation
                AND split_part(other.definition, ' ', 1) = split_part(expected.definition, ' ', 1)
                AND expected.kind IN ('column', 'primary key', 'version')
        )
    ) AS name (named, instead)
    WHERE found.relation IS NULL OR fault IS NOT NULL
    UNION ALL
    SELECT 'version', format('%s is newer: %s', relation, found.definition)
    FROM expected JOIN found USING (kind, relation)
    WHERE kind = 'version'
        AND relation = 'agentic_migrations'
        AND substring(found.definition FROM '\d+')::bigint > substring(expected.definition FROM '\d+')::bigint
),
checks (number, title, kind) AS (
    VALUES (2, 'tables', 'table'), (3, 'columns', 'column'), (4, 'primary keys', 'primary key'), (5, 'indexes', 'index'),
        (6, 'rules', 'rule'), (7, 'versions', 'version')
)
SELECT 'check' AS line, 1 AS number, 'connection' AS title,
    current_setting('server_version_num')::int >= 140000 AS passed,
    format('%s as %s, PostgreSQL %s%s', current_database(), current_user, current_setting('server_version'),
        CASE WHEN current_setting('server_version_num')::int < 140000 THEN ': 14 or newer is needed' END) AS detail
UNION ALL
SELECT 'check', number, title,
    NOT EXISTS (SELECT 1 FROM faults WHERE faults.kind = checks.kind),
    coalesce(
        (SELECT string_agg(said, '; ' ORDER BY said) FROM faults WHERE faults.kind = checks.kind),
        (SELECT format('%s as expected', count(*)) FROM expected WHERE expected.kind = checks.kind)
    )
FROM checks
ORDER BY number;

-- Rows are counted up to about a million and estimated above, by what ANALYZE found.

-- name: sizes
SELECT 'size' AS line, relname AS relation,
    CASE
        WHEN reltuples > 1000000 THEN format('~%s', reltuples::bigint)
        ELSE substring(
            query_to_xml(format('SELECT count(*) AS c FROM %I', relname), false, true, '')::text FROM '<c>(\d+)</c>'
        )
    END AS rows,
    pg_total_relation_size(oid) AS bytes,
    pg_size_pretty(pg_total_relation_size(oid)) AS size
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace
    AND relkind IN ('r', 'p')
    AND has_table_privilege(oid, 'SELECT')
ORDER BY relname;
