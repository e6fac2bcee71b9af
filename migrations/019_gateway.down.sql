-- WARNING: everybody who is logged in to the gateway is logged out, requests that are sent again are served again, and no
-- gateway can read the database. Which turn an event is of is deleted. Stop the gateway first.

DO $$
DECLARE
    bound text;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_gateway') THEN
        RETURN;
    END IF;
    -- Rights first: without its policy a table with others' policies shows what those show.
    FOREACH bound IN ARRAY ARRAY[
        'agentic_migrations', 'checkpoint_migrations', 'store_migrations',
        'workflow_sessions', 'session_events', 'session_turns', 'session_answers'
    ] LOOP
        IF to_regclass(bound) IS NULL THEN
            CONTINUE;
        END IF;
        EXECUTE format('REVOKE ALL ON %I FROM agentic_gateway', bound);
        EXECUTE format('DROP POLICY IF EXISTS agentic_gateway ON %I', bound);
    END LOOP;
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM agentic_gateway', current_schema());
    IF has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION') THEN
        EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM agentic_gateway', current_database());
    END IF;
END
$$;

DROP FUNCTION IF EXISTS agentic_append_events(text, text, integer, text[], text[]);
DROP FUNCTION IF EXISTS agentic_waiting_namespaces(integer);
ALTER TABLE IF EXISTS session_events DROP COLUMN IF EXISTS turn;

DROP TABLE IF EXISTS gateway_idempotency;
DROP TABLE IF EXISTS gateway_logins;
DROP TABLE IF EXISTS gateway_tickets;
DROP TABLE IF EXISTS event_interest;
