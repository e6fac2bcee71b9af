-- WARNING: deletes the vectors of all items of the long-term store. The items stay, and are found by namespace and filter
-- alone; after another dimension is migrated, an item has vectors once it is put again.
--
-- The extension stays: other tables may use it.

DROP TABLE IF EXISTS store_vectors;
DROP TABLE IF EXISTS vector_migrations;
DROP TABLE IF EXISTS agentic_vectors;
