-- Autovacuum comes when the server's own settings say. No data is deleted.

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'workflow_sessions', 'thread_fences', 'checkpoints', 'checkpoint_blobs', 'checkpoint_writes', 'session_events'
    ] LOOP
        IF to_regclass(relation) IS NOT NULL THEN
            EXECUTE format(
                'ALTER TABLE %I RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, '
                'autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor, autovacuum_vacuum_cost_limit, '
                'fillfactor)',
                relation
            );
        END IF;
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['checkpoints', 'checkpoint_blobs', 'checkpoint_writes'] LOOP
        IF to_regclass(relation) IS NOT NULL THEN
            EXECUTE format(
                'ALTER TABLE %I RESET (toast.autovacuum_vacuum_scale_factor, toast.autovacuum_vacuum_cost_limit)', relation
            );
        END IF;
    END LOOP;
END
$$;
