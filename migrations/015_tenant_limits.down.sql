-- Rows may name any thread and hold any time, settings of tenants' roles stay until somebody resets them, and everybody
-- may make temporary tables. No data is deleted.

ALTER TABLE IF EXISTS workflow_sessions DROP CONSTRAINT IF EXISTS workflow_sessions_thread_check;
ALTER TABLE IF EXISTS workflow_sessions DROP CONSTRAINT IF EXISTS workflow_sessions_times_check;
DROP FUNCTION IF EXISTS agentic_settle_tenants();

DO $$
BEGIN
    IF (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
    END IF;
END
$$;
