-- The gateway: its role, which sessions somebody watches, and what it remembers of its callers for a while.
--
-- The gateway serves every namespace, one at a time: a transaction names the namespace that its caller was found to be
-- allowed to read (agentic.namespace), and row-level security shows that namespace's rows alone. It has no right to
-- checkpoints.
--
-- Safe to repeat, and beside running sessions.

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_gateway') THEN
        CREATE ROLE agentic_gateway NOLOGIN;
    END IF;
EXCEPTION
    -- The same migration of another database of this server may be a moment ahead.
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'role agentic_gateway is missing and % may not create it, so no gateway can read this database: run `CREATE ROLE agentic_gateway NOLOGIN` as a role with CREATEROLE, then `agentic migrate down --to 18` and `agentic migrate up`',
            current_user;
END
$$;

-- Which turn of a conversation an event is of, 0 in sessions that have none. Older runners leave it out.
ALTER TABLE session_events ADD COLUMN IF NOT EXISTS turn integer NOT NULL DEFAULT 0;

-- Which sessions somebody watches, and until when that holds unless it is said again. A writer of events notifies only
-- then: every notification takes a lock of the whole server's queue and wakes whoever listens. The hint is a hash of the
-- session's uid, as in the notification. Unlogged: it is worth a minute, and costs no write-ahead log.
CREATE UNLOGGED TABLE IF NOT EXISTS event_interest (
    hint text PRIMARY KEY CONSTRAINT event_interest_hint_check CHECK (hint ~ '^[0-9a-f]{32}$'),
    until timestamptz NOT NULL
);

-- A ticket lets one WebSocket or link in, once, in the name of whoever asked for it. The holder's secret is not here: a
-- name derived from it is, and the caller's credential sealed with a key derived from it.
CREATE TABLE IF NOT EXISTS gateway_tickets (
    hash bytea PRIMARY KEY CONSTRAINT gateway_tickets_hash_check CHECK (octet_length(hash) = 32),
    username text NOT NULL,
    namespace text NOT NULL,
    session_name text NOT NULL,
    session_uid text NOT NULL,
    channel text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS gateway_tickets_expires_idx ON gateway_tickets (expires_at);

-- A person's log-in, as tickets: what the browser's cookie holds is not here. `version` counts refreshes of the tokens,
-- which one replica at a time does.
CREATE TABLE IF NOT EXISTS gateway_logins (
    hash bytea PRIMARY KEY CONSTRAINT gateway_logins_hash_check CHECK (octet_length(hash) = 32),
    username text NOT NULL,
    sealed bytea NOT NULL,
    version integer NOT NULL DEFAULT 0,
    refreshing_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS gateway_logins_expires_idx ON gateway_logins (expires_at);

-- What a request was answered that somebody may send again under its key. No response yet: it is being served.
CREATE TABLE IF NOT EXISTS gateway_idempotency (
    username text NOT NULL,
    route text NOT NULL,
    key text NOT NULL CONSTRAINT gateway_idempotency_key_check CHECK (length(key) BETWEEN 1 AND 255),
    request_digest bytea NOT NULL CONSTRAINT gateway_idempotency_digest_check CHECK (octet_length(request_digest) = 32),
    response jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (username, route, key)
);

CREATE INDEX IF NOT EXISTS gateway_idempotency_expires_idx ON gateway_idempotency (expires_at);

-- The names of namespaces in which a session waits for people, and nothing else of them: the gateway asks the API server
-- which of these a caller may list.
CREATE OR REPLACE FUNCTION agentic_waiting_namespaces(most integer) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER
AS $$
    SELECT DISTINCT project_name FROM workflow_sessions WHERE status = 'waiting_for_input' ORDER BY project_name LIMIT most
$$;

DO $$
DECLARE
    named constant text := '(SELECT nullif(current_setting(''agentic.namespace'', true), ''''))';
    bound record;
    own text;
BEGIN
    EXECUTE format(
        'ALTER FUNCTION agentic_waiting_namespaces(integer) SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
    REVOKE ALL ON FUNCTION agentic_waiting_namespaces(integer) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        GRANT SELECT ON event_interest TO agentic_operator;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_runner') THEN
        GRANT SELECT ON event_interest TO agentic_runner;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_tenant') THEN
        GRANT SELECT ON event_interest TO agentic_tenant;
    END IF;
    -- Writers of all namespaces ask whether somebody watches. Whoever reads the whole list learns no more than by LISTEN.
    IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'event_interest'::regclass AND polname = 'agentic_all') THEN
        CREATE POLICY agentic_all ON event_interest FOR SELECT TO PUBLIC USING (true);
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_gateway') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO agentic_gateway', current_schema());
        IF has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION') THEN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO agentic_gateway', current_database());
        END IF;
        GRANT SELECT ON agentic_migrations, checkpoint_migrations, store_migrations TO agentic_gateway;
        GRANT SELECT ON workflow_sessions, session_events, session_turns, session_answers TO agentic_gateway;
        GRANT EXECUTE ON FUNCTION agentic_waiting_namespaces(integer) TO agentic_gateway;
        FOREACH own IN ARRAY ARRAY['event_interest', 'gateway_tickets', 'gateway_logins', 'gateway_idempotency'] LOOP
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO agentic_gateway', own);
            IF NOT EXISTS (
                SELECT 1 FROM pg_policy WHERE polrelid = own::regclass AND polname = 'agentic_gateway'
            ) THEN
                EXECUTE format('CREATE POLICY agentic_gateway ON %I TO agentic_gateway USING (true) WITH CHECK (true)', own);
            END IF;
        END LOOP;

        -- As tenants' rules: the subquery depends on no row and is looked up once a statement; inside of coalesce() a
        -- comparison counts as one that half of the rows pass, so that plans stay what they are without it. No namespace
        -- named: no row.
        FOR bound IN
            SELECT relation, kind, condition
            FROM (VALUES
                ('workflow_sessions', 'PERMISSIVE', format('coalesce(project_name = %s, false)', named)),
                ('session_turns', 'PERMISSIVE', format('coalesce(project_name = %s, false)', named)),
                ('session_events', 'PERMISSIVE',
                    'EXISTS (SELECT 1 FROM workflow_sessions AS s WHERE s.session_uid = session_events.session_uid)'),
                -- Whoever has the right to read answers reads all (016): that is taken away here.
                ('session_answers', 'RESTRICTIVE', format('coalesce(project_name = %s, false)', named))
            ) AS tables (relation, kind, condition)
        LOOP
            IF NOT EXISTS (
                SELECT 1 FROM pg_policy WHERE polrelid = bound.relation::regclass AND polname = 'agentic_gateway'
            ) THEN
                EXECUTE format(
                    'CREATE POLICY agentic_gateway ON %I AS %s FOR SELECT TO agentic_gateway USING (%s)',
                    bound.relation, bound.kind, bound.condition
                );
            END IF;
        END LOOP;
    END IF;

    -- Asked first: it takes an exclusive lock at every repetition.
    FOREACH own IN ARRAY ARRAY['event_interest', 'gateway_tickets', 'gateway_logins', 'gateway_idempotency'] LOOP
        IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = own::regclass) THEN
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', own);
        END IF;
    END LOOP;
END
$$;

-- Appends to a session's log what a runner reported to the gateway, which has no right to write events: into a session of
-- the namespace that is named, and nothing else. Returns the last number, NULL where there is no such session. Of several
-- writers at once one wins: the others get unique_violation, and try again.
CREATE OR REPLACE FUNCTION agentic_append_events(
    wanted_project text, wanted_uid text, wanted_run integer, types text[], contents text[]
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
AS $$
DECLARE
    wanted_hint text := left(encode(sha256(convert_to(wanted_uid, 'UTF8')), 'hex'), 32);
    newest bigint;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM workflow_sessions WHERE session_uid = wanted_uid AND project_name = wanted_project) THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(max(seq), 0) INTO newest FROM session_events WHERE session_uid = wanted_uid;
    INSERT INTO session_events (session_uid, seq, run, at, type, data)
    SELECT wanted_uid, newest + added.place, wanted_run, now(), added.type, added.content::jsonb
    FROM unnest(types, contents) WITH ORDINALITY AS added (type, content, place);
    IF EXISTS (SELECT 1 FROM event_interest AS watched WHERE watched.hint = wanted_hint AND until > now()) THEN
        PERFORM pg_notify('agentic_session_events', wanted_hint);
    END IF;
    RETURN newest + cardinality(types);
END
$$;

DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION agentic_append_events(text, text, integer, text[], text[]) SET search_path = pg_catalog, %I, pg_temp',
        current_schema()
    );
    REVOKE ALL ON FUNCTION agentic_append_events(text, text, integer, text[], text[]) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_gateway') THEN
        GRANT EXECUTE ON FUNCTION agentic_append_events(text, text, integer, text[], text[]) TO agentic_gateway;
    END IF;
END
$$;
