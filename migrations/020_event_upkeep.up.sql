-- Upkeep of the event log, and the newest values of a session's state for those who may read them.
--
-- Safe to repeat, and beside running sessions: older programs name their columns, so they see none of the new ones.

-- Which numbers directly before a row were joined into the rows that are there, from this one on; NULL where none were.
-- The operator sets it, and nobody else.
ALTER TABLE session_events ADD COLUMN IF NOT EXISTS since bigint;

-- What a pod's own code may put into one row. It is replaced and not refused: a row that is refused takes the others of its
-- batch along, and older runners stop writing events then.
CREATE OR REPLACE FUNCTION agentic_bound_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    size constant bigint := octet_length(NEW.data::text);
BEGIN
    NEW.since := NULL;
    NEW.type := left(NEW.type, 64);
    IF size > 262144 THEN
        NEW.data := jsonb_build_object(
            'message', format('this event has %s bytes of JSON and is not kept: at most 262144 are', size),
            'size', size,
            'truncated', true
        );
    END IF;
    RETURN NEW;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_trigger
        WHERE tgrelid = 'session_events'::regclass AND tgname = 'agentic_bound' AND NOT tgisinternal
    ) THEN
        CREATE TRIGGER agentic_bound BEFORE INSERT ON session_events
            FOR EACH ROW
            WHEN (NEW.since IS NOT NULL OR length(NEW.type) > 64 OR octet_length(NEW.data::text) > 262144)
            EXECUTE FUNCTION agentic_bound_event();
    END IF;
END
$$;

-- The output channels of a session as they were at its last question, at the end of its last turn, or a moment ago: for
-- sessions whose definition says so (api.state), one row each. `keeps_history`: the values of its checkpoints may be read, too.
CREATE TABLE IF NOT EXISTS thread_values (
    session_uid text PRIMARY KEY
        CONSTRAINT thread_values_session_uid_fkey REFERENCES workflow_sessions (session_uid) ON DELETE CASCADE,
    run integer NOT NULL,
    turn integer NOT NULL DEFAULT 0,
    checkpoint_id text CONSTRAINT thread_values_checkpoint_check CHECK (length(checkpoint_id) <= 128),
    at timestamptz NOT NULL DEFAULT now(),
    keeps_history boolean NOT NULL DEFAULT false,
    -- The output channels: of a checkpoint, nothing else is shown.
    channels text[] NOT NULL DEFAULT '{}' CONSTRAINT thread_values_channels_check CHECK (pg_column_size(channels) <= 65536),
    -- As it was written: exact numbers, and their text. NULL where it would be too large.
    state json CONSTRAINT thread_values_state_check CHECK (octet_length(state::text) <= 1048576)
);

DO $$
DECLARE
    own constant text := 'EXISTS (SELECT 1 FROM workflow_sessions AS s WHERE s.session_uid = thread_values.session_uid)';
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_trigger
        WHERE tgrelid = 'thread_values'::regclass AND tgname = 'agentic_fence' AND NOT tgisinternal
    ) THEN
        CREATE TRIGGER agentic_fence BEFORE INSERT OR UPDATE OR DELETE ON thread_values
            FOR EACH STATEMENT EXECUTE FUNCTION agentic_check_fence();
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON thread_values TO agentic_operator;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_runner') THEN
        GRANT SELECT, INSERT, UPDATE ON thread_values TO agentic_runner;
    END IF;
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('agentic_operator', 'agentic_runner', 'agentic_tenant')) = 3 THEN
        GRANT SELECT, INSERT, UPDATE ON thread_values TO agentic_tenant;
        IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'thread_values'::regclass AND polname = 'agentic_all') THEN
            CREATE POLICY agentic_all ON thread_values TO agentic_operator, agentic_runner USING (true) WITH CHECK (true);
        END IF;
        IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'thread_values'::regclass AND polname = 'agentic_own') THEN
            EXECUTE format('CREATE POLICY agentic_own ON thread_values TO agentic_tenant USING (%s)', own);
        END IF;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_gateway') THEN
        GRANT SELECT ON thread_values TO agentic_gateway;
        IF NOT EXISTS (
            SELECT 1 FROM pg_policy WHERE polrelid = 'thread_values'::regclass AND polname = 'agentic_gateway'
        ) THEN
            EXECUTE format('CREATE POLICY agentic_gateway ON thread_values FOR SELECT TO agentic_gateway USING (%s)', own);
        END IF;
    END IF;
    IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = 'thread_values'::regclass) THEN
        ALTER TABLE thread_values ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;

-- What a checkpoint holds, for the gateway, which has no right to checkpoints: of a session of the namespace that is named,
-- that keeps a history, and no more than `most` bytes. One row a channel, as it is stored, or one with neither type nor
-- content where there is more. No row: no such checkpoint, or it may not be read.
CREATE OR REPLACE FUNCTION agentic_checkpoint_values(
    wanted_project text, wanted_uid text, wanted_checkpoint text, most bigint
) RETURNS TABLE (channel text, kind text, content bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
AS $$
DECLARE
    thread text;
    shown text[];
    saved jsonb;
BEGIN
    SELECT s.thread_id, kept.channels INTO thread, shown
    FROM workflow_sessions AS s
    JOIN thread_values AS kept ON kept.session_uid = s.session_uid AND kept.keeps_history
    WHERE s.session_uid = wanted_uid AND s.project_name = wanted_project;
    SELECT c.checkpoint INTO saved
    FROM checkpoints AS c
    WHERE c.thread_id = thread AND c.checkpoint_ns = '' AND c.checkpoint_id = wanted_checkpoint
        AND pg_column_size(c.checkpoint) <= most;
    IF saved IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT v.key, 'json'::text, convert_to(v.value::text, 'UTF8')
    FROM jsonb_each(CASE jsonb_typeof(saved -> 'channel_values') WHEN 'object' THEN saved -> 'channel_values' END) AS v
    WHERE v.key = ANY(shown)
    UNION ALL
    SELECT
        b.channel,
        CASE WHEN sum(octet_length(b.blob)) OVER () <= most THEN b.type END,
        CASE WHEN sum(octet_length(b.blob)) OVER () <= most THEN b.blob END
    FROM jsonb_each_text(
        CASE jsonb_typeof(saved -> 'channel_versions') WHEN 'object' THEN saved -> 'channel_versions' END
    ) AS used (channel, version)
    JOIN checkpoint_blobs AS b
        ON b.thread_id = thread AND b.checkpoint_ns = '' AND b.channel = used.channel AND b.version = used.version
    WHERE b.type <> 'empty' AND used.channel = ANY(shown);
END
$$;

-- As the function of 019, which stays for gateways of the version before; with the highest number that the writer knows to
-- have been given: numbers go on after it, and a row of type gap says which are missing.
CREATE OR REPLACE FUNCTION agentic_append_events(
    wanted_project text, wanted_uid text, wanted_run integer, types text[], contents text[], floor bigint
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
    IF newest < floor THEN
        INSERT INTO session_events (session_uid, seq, run, at, type, data)
        VALUES (
            wanted_uid, floor + 1, wanted_run, now(), 'gap',
            jsonb_build_object('from', newest + 1, 'to', floor, 'reason', 'lost')
        );
        newest := floor + 1;
    END IF;
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
DECLARE
    own text;
BEGIN
    FOREACH own IN ARRAY ARRAY[
        'agentic_append_events(text, text, integer, text[], text[], bigint)',
        'agentic_checkpoint_values(text, text, text, bigint)'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', own, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', own);
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_gateway') THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO agentic_gateway', own);
        END IF;
    END LOOP;
END
$$;
