-- WARNING: programs that are older than the newest migration stop working. Nothing else is deleted.

ALTER TABLE agentic_migrations DROP COLUMN IF EXISTS oldest_program;
