-- The rows that LangGraph's saver keeps of a thread.

-- name: purge_checkpoints
DELETE FROM checkpoints WHERE thread_id = ANY(%(threads)s);

-- name: purge_blobs
DELETE FROM checkpoint_blobs WHERE thread_id = ANY(%(threads)s);

-- name: purge_writes
DELETE FROM checkpoint_writes WHERE thread_id = ANY(%(threads)s);
