-- WARNING: deletes every checkpoint and every item of the long-term store. Sessions that wait for input or were
-- interrupted cannot continue afterwards. Take a backup first (pg_dump).

DROP INDEX IF EXISTS idx_store_expires_at;
DROP INDEX IF EXISTS store_prefix_idx;
DROP INDEX IF EXISTS checkpoint_writes_thread_id_idx;
DROP INDEX IF EXISTS checkpoint_blobs_thread_id_idx;
DROP INDEX IF EXISTS checkpoints_thread_id_idx;

DROP TABLE IF EXISTS store;
DROP TABLE IF EXISTS store_migrations;
DROP TABLE IF EXISTS checkpoint_writes;
DROP TABLE IF EXISTS checkpoint_blobs;
DROP TABLE IF EXISTS checkpoints;
DROP TABLE IF EXISTS checkpoint_migrations;
