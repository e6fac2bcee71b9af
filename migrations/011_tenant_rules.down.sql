-- WARNING: lets a tenant choose its fences' numbers again, and with them keep others from taking theirs. The rules stay:
-- those of migration 006 show the same rows. Nothing is deleted.

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_tenant') AND to_regclass('thread_fences') IS NOT NULL THEN
        GRANT INSERT, UPDATE ON thread_fences TO agentic_tenant;
    END IF;
END
$$;
