-- outside a transaction
-- Every write of a run reads all fences without it.

DROP INDEX CONCURRENTLY IF EXISTS thread_fences_number_key;
