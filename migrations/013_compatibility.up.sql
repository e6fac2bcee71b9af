-- Which programs can still work on the database. A session that waits for weeks goes on with the image that it was pinned
-- to, and so with a runner that is older than migrations that came meanwhile: it may, as long as none of them names a
-- newer program.
--
-- A migration that older programs cannot live with says so by
--     ALTER TABLE agentic_migrations ALTER COLUMN oldest_program SET DEFAULT <its own number>;
-- and its down file sets the number before. Safe to repeat.

ALTER TABLE agentic_migrations ADD COLUMN IF NOT EXISTS oldest_program integer NOT NULL DEFAULT 13;
