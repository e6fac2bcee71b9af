-- Our own tables: what ran (workflow_sessions), what happened while it ran (session_events), and who may write a
-- thread's checkpoints (thread_fences, with the trigger that enforces it). agentic_migrations is made by the program
-- that applies these files; its statement stands here too for whoever applies them by hand.
--
-- Safe to repeat.

CREATE TABLE IF NOT EXISTS agentic_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- One row per session. The custom resource is the truth while it exists; this row outlives it and holds results of any
-- size up to 100 MB.
CREATE TABLE IF NOT EXISTS workflow_sessions (
    session_uid text PRIMARY KEY,
    project_name text NOT NULL,
    session_name text NOT NULL,
    workflow_name text NOT NULL,
    workflow_version text GENERATED ALWAYS AS (input_data ->> 'workflow_version') STORED,
    status text NOT NULL DEFAULT 'pending' CONSTRAINT workflow_sessions_status_check CHECK (
        status IN ('pending', 'creating', 'running', 'waiting_for_input', 'suspended', 'completed', 'failed', 'stopped')
    ),
    input_data jsonb,
    output_data jsonb CONSTRAINT workflow_sessions_output_size_check CHECK (pg_column_size(output_data) < 104857600),
    error jsonb,
    thread_id text NOT NULL,
    run integer NOT NULL DEFAULT 0 CONSTRAINT workflow_sessions_run_check CHECK (run >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CONSTRAINT workflow_sessions_name_key UNIQUE (project_name, session_name),
    CONSTRAINT workflow_sessions_completed_check CHECK (
        (status IN ('completed', 'failed', 'stopped')) = (completed_at IS NOT NULL)
    )
);

-- The list of a project, newest first, page by page; the name breaks ties of the same second.
CREATE INDEX IF NOT EXISTS workflow_sessions_list_idx
    ON workflow_sessions (project_name, created_at DESC, session_name DESC);

CREATE TABLE IF NOT EXISTS session_events (
    session_uid text NOT NULL REFERENCES workflow_sessions (session_uid) ON DELETE CASCADE,
    seq bigint NOT NULL CONSTRAINT session_events_seq_check CHECK (seq > 0),
    run integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    type text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (session_uid, seq)
);

-- One number for all threads, never given twice: a thread whose fence was deleted and taken anew must not meet an old
-- writer that holds the same epoch.
CREATE SEQUENCE IF NOT EXISTS thread_fence_epochs AS bigint;

CREATE TABLE IF NOT EXISTS thread_fences (
    thread_id text PRIMARY KEY,
    session_uid text NOT NULL,
    -- Tells a session that was made again under the same name from the one that was deleted.
    session_created_at timestamptz,
    epoch bigint NOT NULL,
    run integer NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    holder text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS thread_fences_session_uid_idx ON thread_fences (session_uid);

-- A run names its thread and epoch in its connections' settings; every statement that it writes then shares the fence's
-- row. So a new epoch (an UPDATE of that row) waits for the writes in flight, and whatever the older run writes
-- afterwards is refused. A connection that sets nothing (a person with psql, the library's own tests) is let through:
-- this keeps a run from disturbing its successor, it is not access control.
CREATE OR REPLACE FUNCTION agentic_check_fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fenced_thread text := current_setting('agentic.thread_id', true);
    own_epoch bigint;
    current_epoch bigint;
BEGIN
    IF fenced_thread IS NULL OR fenced_thread = '' THEN
        RETURN NULL;
    END IF;
    own_epoch := nullif(current_setting('agentic.epoch', true), '')::bigint;
    SELECT epoch INTO current_epoch FROM thread_fences WHERE thread_id = fenced_thread FOR SHARE;
    IF current_epoch IS DISTINCT FROM own_epoch OR own_epoch IS NULL THEN
        RAISE EXCEPTION 'superseded: thread % is at epoch %, this writer holds %',
            fenced_thread, coalesce(current_epoch::text, 'none'), coalesce(own_epoch::text, 'none')
            USING ERRCODE = 'AG001', HINT = 'A newer run owns the thread, or its session was deleted: stop this one.';
    END IF;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    fenced text;
BEGIN
    FOREACH fenced IN ARRAY ARRAY[
        'checkpoints', 'checkpoint_blobs', 'checkpoint_writes', 'workflow_sessions', 'session_events'
    ] LOOP
        -- Asked first: CREATE OR REPLACE TRIGGER needs a newer server and an exclusive lock at every repetition.
        IF NOT EXISTS (
            SELECT 1 FROM pg_trigger WHERE tgrelid = fenced::regclass AND tgname = 'agentic_fence' AND NOT tgisinternal
        ) THEN
            EXECUTE format(
                'CREATE TRIGGER agentic_fence BEFORE INSERT OR UPDATE OR DELETE ON %I '
                'FOR EACH STATEMENT EXECUTE FUNCTION agentic_check_fence()',
                fenced
            );
        END IF;
    END LOOP;
END
$$;

-- As for checkpoints: large values compress with lz4 where the server has it.
DO $$
DECLARE
    large record;
BEGIN
    FOR large IN
        SELECT attname
        FROM pg_attribute
        WHERE attrelid = 'workflow_sessions'::regclass
            AND attname IN ('input_data', 'output_data')
            AND attcompression <> 'l'
    LOOP
        EXECUTE format('ALTER TABLE workflow_sessions ALTER COLUMN %I SET COMPRESSION lz4', large.attname);
    END LOOP;
EXCEPTION
    WHEN feature_not_supported THEN
        NULL;
END
$$;
