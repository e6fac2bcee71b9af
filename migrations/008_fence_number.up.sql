-- outside a transaction
-- How the trigger finds the fence that a connection names. Built beside writers.

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS thread_fences_number_key ON thread_fences (number);
