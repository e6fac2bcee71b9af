-- The trail: who answered what, as a chain of entries for each session in which each names the hash of the one before.
-- Rows are added and removed whole chains at a time; none is ever changed, except that what an entry is about may be
-- taken away. They outlive the session's own row.
--
-- Safe to repeat.

CREATE TABLE IF NOT EXISTS session_answers (
    session_uid text NOT NULL,
    seq bigint NOT NULL CONSTRAINT session_answers_seq_check CHECK (seq > 0),
    project_name text NOT NULL,
    session_name text NOT NULL,
    -- JSON in its canonical form, as text: what is hashed is these very bytes.
    entry text NOT NULL,
    hash text NOT NULL CONSTRAINT session_answers_hash_check CHECK (hash = encode(sha256(convert_to(entry, 'UTF8')), 'hex')),
    -- What the entry has the digests of.
    value text,
    message text,
    stored_at timestamptz NOT NULL DEFAULT now(),
    kind text GENERATED ALWAYS AS ((entry::jsonb) ->> 'kind') STORED,
    interrupt_id text GENERATED ALWAYS AS ((entry::jsonb) ->> 'interruptId') STORED,
    answered_by text GENERATED ALWAYS AS ((entry::jsonb) ->> 'by') STORED,
    PRIMARY KEY (session_uid, seq),
    CONSTRAINT session_answers_entry_check CHECK (((entry::jsonb) ->> 'seq')::bigint = seq)
);

-- An export reads chains by their session's name, retention by when they last grew.
CREATE INDEX IF NOT EXISTS session_answers_name_idx ON session_answers (project_name, session_name, session_uid, seq);
CREATE INDEX IF NOT EXISTS session_answers_stored_idx ON session_answers (stored_at);

CREATE OR REPLACE FUNCTION agentic_keep_answers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.value IS NULL OR NEW.value IS NOT DISTINCT FROM OLD.value)
        AND (NEW.message IS NULL OR NEW.message IS NOT DISTINCT FROM OLD.message)
        AND (NEW.session_uid, NEW.seq, NEW.project_name, NEW.session_name, NEW.entry, NEW.hash, NEW.stored_at)
            = (OLD.session_uid, OLD.seq, OLD.project_name, OLD.session_name, OLD.entry, OLD.hash, OLD.stored_at)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the trail is not changed: entry % of session %', OLD.seq, OLD.session_name
        USING ERRCODE = 'AG004',
        HINT = 'What an entry is about can be taken away: UPDATE session_answers SET value = NULL, message = NULL WHERE …';
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_trigger WHERE tgrelid = 'session_answers'::regclass AND tgname = 'agentic_keep'
    ) THEN
        CREATE TRIGGER agentic_keep BEFORE UPDATE ON session_answers
            FOR EACH ROW EXECUTE FUNCTION agentic_keep_answers();
    END IF;
END
$$;

-- Removes whole chains that have not grown for so many days, of sessions that are gone, and no others: the operator has no
-- other way to delete of them. Returns how many chains they were.
CREATE OR REPLACE FUNCTION agentic_remove_answers(projects text[], days integer, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout = '5s'
AS $$
DECLARE
    gone bigint;
BEGIN
    IF days IS NULL OR days < 1 THEN
        RAISE EXCEPTION 'the trail is kept for one day at least, not %', days USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH old AS (
        SELECT DISTINCT session_uid
        FROM session_answers AS known
        WHERE stored_at < now() - make_interval(days => days)
            AND (projects IS NULL OR project_name = ANY (projects))
            AND NOT EXISTS (
                SELECT 1 FROM session_answers AS newer
                WHERE newer.session_uid = known.session_uid AND newer.stored_at >= now() - make_interval(days => days)
            )
            AND NOT EXISTS (SELECT 1 FROM workflow_sessions AS s WHERE s.session_uid = known.session_uid)
        LIMIT most
    ),
    removed AS (
        DELETE FROM session_answers USING old WHERE session_answers.session_uid = old.session_uid
        RETURNING session_answers.session_uid
    )
    SELECT count(DISTINCT session_uid) INTO gone FROM removed;
    RETURN gone;
END
$$;

DO $$
DECLARE
    own constant text :=
        'FROM tenants WHERE tenants.role_name = CURRENT_USER AND tenants.database_name = current_database()';
BEGIN
    EXECUTE format(
        'ALTER FUNCTION agentic_remove_answers(text[], integer, integer) SET search_path = pg_catalog, %I, pg_temp',
        current_schema()
    );
    REVOKE ALL ON FUNCTION agentic_remove_answers(text[], integer, integer) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        GRANT SELECT ON session_answers TO agentic_operator;
        GRANT INSERT (session_uid, seq, project_name, session_name, entry, hash, value, message)
            ON session_answers TO agentic_operator;
        GRANT EXECUTE ON FUNCTION agentic_remove_answers(text[], integer, integer) TO agentic_operator;
    END IF;
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('agentic_operator', 'agentic_runner', 'agentic_tenant')) < 3 THEN
        RETURN;
    END IF;
    -- Runners and tenants have no right to any of it. Whoever is given the right to read, an auditor, reads all; a tenant
    -- that is given it by mistake still sees its own.
    IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'session_answers'::regclass AND polname = 'agentic_all') THEN
        CREATE POLICY agentic_all ON session_answers FOR SELECT TO PUBLIC USING (true);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'session_answers'::regclass AND polname = 'agentic_add') THEN
        CREATE POLICY agentic_add ON session_answers FOR INSERT TO agentic_operator WITH CHECK (true);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'session_answers'::regclass AND polname = 'agentic_own') THEN
        EXECUTE format(
            'CREATE POLICY agentic_own ON session_answers AS RESTRICTIVE TO agentic_tenant USING (coalesce(project_name = (SELECT tenants.namespace %s), false))',
            own
        );
    END IF;
    IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = 'session_answers'::regclass) THEN
        ALTER TABLE session_answers ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;
