-- When autovacuum comes to our tables. By default it waits until a fifth of a table is dead, which for a large table is
-- late: every list, search and retention step reads past the dead rows meanwhile, and one vacuum then takes hours.
--
--   workflow_sessions, thread_fences   are updated several times a session, in place where the page has room (HOT): a
--                                      twentieth is enough, and a tenth of each page stays free for it.
--   checkpoints, …_blobs, …_writes     only grow, and lose whole threads at once by retention: a twentieth again, and
--                                      their large values, which PostgreSQL keeps apart, as well.
--   session_events                     only grows too; inserts alone mark pages for scans of the index.
--
-- The cost limit lets a vacuum keep up with retention. Settings of the server that are stricter still hold for all else.
-- Safe to repeat. Changing them takes a lock that lets readers and writers go on.

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT *
        FROM (VALUES
            ('workflow_sessions', 'autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=200, autovacuum_analyze_scale_factor=0.05, autovacuum_vacuum_cost_limit=1000, fillfactor=90'),
            ('thread_fences', 'autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=200, autovacuum_analyze_scale_factor=0.1, autovacuum_vacuum_cost_limit=1000, fillfactor=90'),
            ('checkpoints', 'autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=1000, autovacuum_analyze_scale_factor=0.05, autovacuum_vacuum_cost_limit=1000, toast.autovacuum_vacuum_scale_factor=0.05, toast.autovacuum_vacuum_cost_limit=1000'),
            ('checkpoint_blobs', 'autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=1000, autovacuum_analyze_scale_factor=0.05, autovacuum_vacuum_cost_limit=1000, toast.autovacuum_vacuum_scale_factor=0.05, toast.autovacuum_vacuum_cost_limit=1000'),
            ('checkpoint_writes', 'autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=1000, autovacuum_analyze_scale_factor=0.05, autovacuum_vacuum_cost_limit=1000, toast.autovacuum_vacuum_scale_factor=0.05, toast.autovacuum_vacuum_cost_limit=1000'),
            ('session_events', 'autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_insert_scale_factor=0.1, autovacuum_analyze_scale_factor=0.05, autovacuum_vacuum_cost_limit=1000')
        ) AS settings (relation, parameters)
    LOOP
        EXECUTE format('ALTER TABLE %I SET (%s)', wanted.relation, wanted.parameters);
    END LOOP;
END
$$;
