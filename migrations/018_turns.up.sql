-- Conversations: a row for each turn (session_turns), and the status of a session that is between two of them.
--
-- Safe to repeat, and beside running sessions: the constraint's new list holds the old one, so no row is read for it.

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_constraint
        WHERE conrelid = 'workflow_sessions'::regclass AND conname = 'workflow_sessions_status_check'
            AND position('idle' IN pg_get_constraintdef(oid)) > 0
    ) THEN
        ALTER TABLE workflow_sessions
            DROP CONSTRAINT IF EXISTS workflow_sessions_status_check,
            ADD CONSTRAINT workflow_sessions_status_check CHECK (
                status IN (
                    'pending', 'creating', 'running', 'waiting_for_input', 'idle', 'suspended', 'completed', 'failed',
                    'stopped'
                )
            ) NOT VALID;
    END IF;
END
$$;

-- One row per turn that began. It stays, with its result, as long as its session's row: the custom resource keeps the last
-- turns alone.
CREATE TABLE IF NOT EXISTS session_turns (
    session_uid text NOT NULL
        CONSTRAINT session_turns_session_uid_fkey REFERENCES workflow_sessions (session_uid) ON DELETE CASCADE,
    number integer NOT NULL CONSTRAINT session_turns_number_check CHECK (number > 0),
    name text NOT NULL,
    project_name text NOT NULL,
    session_name text NOT NULL,
    author text NOT NULL DEFAULT '',
    -- What was asked: an input, or a command.
    input jsonb,
    command jsonb,
    phase text NOT NULL DEFAULT 'running' CONSTRAINT session_turns_phase_check CHECK (
        phase IN ('running', 'completed', 'failed', 'canceled')
    ),
    output jsonb CONSTRAINT session_turns_output_size_check CHECK (pg_column_size(output) < 104857600),
    error jsonb,
    checkpoint_id text,
    run integer NOT NULL DEFAULT 0 CONSTRAINT session_turns_run_check CHECK (run >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (session_uid, number),
    -- A name stands for one turn of its session, for ever.
    CONSTRAINT session_turns_name_key UNIQUE (session_uid, name),
    CONSTRAINT session_turns_finished_check CHECK ((phase = 'running') = (finished_at IS NULL)),
    CONSTRAINT session_turns_times_check CHECK (
        least(created_at, started_at, finished_at) > '0001-01-02 00:00:00+00'
        AND greatest(created_at, started_at, finished_at) < '9999-12-30 00:00:00+00'
    )
);

-- The end of a turn does not change: whoever comes later finds it.
CREATE OR REPLACE FUNCTION agentic_keep_turn_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'turn % of session % has ended as %', OLD.number, OLD.session_name, OLD.phase
        USING ERRCODE = 'AG005', HINT = 'What a turn ended with stays as it is; it goes with its session.';
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_trigger
        WHERE tgrelid = 'session_turns'::regclass AND tgname = 'agentic_fence' AND NOT tgisinternal
    ) THEN
        CREATE TRIGGER agentic_fence BEFORE INSERT OR UPDATE OR DELETE ON session_turns
            FOR EACH STATEMENT EXECUTE FUNCTION agentic_check_fence();
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM pg_trigger
        WHERE tgrelid = 'session_turns'::regclass AND tgname = 'agentic_keep' AND NOT tgisinternal
    ) THEN
        CREATE TRIGGER agentic_keep BEFORE UPDATE ON session_turns
            FOR EACH ROW WHEN (OLD.phase <> 'running') EXECUTE FUNCTION agentic_keep_turn_ends();
    END IF;
END
$$;

-- As for sessions: large values compress with lz4 where the server has it.
DO $$
DECLARE
    large record;
BEGIN
    FOR large IN
        SELECT attname
        FROM pg_attribute
        WHERE attrelid = 'session_turns'::regclass AND attname IN ('input', 'output') AND attcompression <> 'l'
    LOOP
        EXECUTE format('ALTER TABLE session_turns ALTER COLUMN %I SET COMPRESSION lz4', large.attname);
    END LOOP;
EXCEPTION
    WHEN feature_not_supported THEN
        NULL;
END
$$;

DO $$
DECLARE
    own constant text :=
        'FROM tenants WHERE tenants.role_name = CURRENT_USER AND tenants.database_name = current_database()';
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON session_turns TO agentic_operator;
    END IF;
    -- A run writes the turn that it runs, and makes its row where the operator has not come to it yet. Which turn it is, and
    -- whose, is not its to change, and it deletes none.
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_runner') THEN
        GRANT SELECT, INSERT ON session_turns TO agentic_runner;
        GRANT UPDATE (phase, output, error, checkpoint_id, run, started_at, finished_at) ON session_turns TO agentic_runner;
    END IF;
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('agentic_operator', 'agentic_runner', 'agentic_tenant')) < 3 THEN
        RETURN;
    END IF;
    GRANT SELECT, INSERT ON session_turns TO agentic_tenant;
    GRANT UPDATE (phase, output, error, checkpoint_id, run, started_at, finished_at) ON session_turns TO agentic_tenant;
    IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'session_turns'::regclass AND polname = 'agentic_all') THEN
        CREATE POLICY agentic_all ON session_turns TO agentic_operator, agentic_runner USING (true) WITH CHECK (true);
    END IF;
    -- A row under another tenant's session would stand in the way of that session's own.
    IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'session_turns'::regclass AND polname = 'agentic_own') THEN
        EXECUTE format(
            'CREATE POLICY agentic_own ON session_turns TO agentic_tenant USING ('
            'coalesce(project_name = (SELECT tenants.namespace %s), false) '
            'AND EXISTS (SELECT 1 FROM workflow_sessions AS s WHERE s.session_uid = session_turns.session_uid))',
            own
        );
    END IF;
    IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = 'session_turns'::regclass) THEN
        ALTER TABLE session_turns ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;
