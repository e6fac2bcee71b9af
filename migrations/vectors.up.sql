-- Semantic search of LangGraph's long-term store: the library's own tables for vectors of one dimension, kept apart by
-- project as the items are. Optional, and none of the numbered migrations, because it needs the extension pgvector:
--
--     agentic migrate vectors --dims 1536
--     PGOPTIONS='-c agentic.vector_dims=1536' psql -v ON_ERROR_STOP=1 -1 -f vectors.up.sql
--
-- No approximate index: one over the vectors of all projects would find the nearest of all, and leave of them what is the
-- searching project's, often nothing. A search compares its query with every vector of its own namespace. The index that
-- the library's setup() made is dropped for that reason.
--
-- Safe to repeat with the same dimension; another one is refused.

DO $$
DECLARE
    wanted constant integer := nullif(current_setting('agentic.vector_dims', true), '')::integer;
    own constant text :=
        'FROM tenants WHERE tenants.role_name = CURRENT_USER AND tenants.database_name = current_database()';
    present integer;
    home name;
    columns text;
    bound record;
BEGIN
    IF wanted IS NULL OR wanted NOT BETWEEN 1 AND 16000 THEN
        RAISE EXCEPTION 'set agentic.vector_dims to the dimension of the embeddings, 1 to 16000';
    END IF;
    IF to_regclass('agentic_migrations') IS NULL OR (SELECT max(version) FROM agentic_migrations) < 11 THEN
        RAISE EXCEPTION 'the database is not migrated: run agentic migrate up first';
    END IF;

    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector') THEN
        IF NOT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector') THEN
            RAISE EXCEPTION 'the server has no extension vector: install pgvector on it';
        END IF;
        BEGIN
            CREATE EXTENSION vector;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION '% may not create the extension vector: run CREATE EXTENSION vector in this database as a superuser, then this again', current_user;
        END;
    END IF;
    IF to_regtype('vector') IS NULL THEN
        SELECT nspname INTO home FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
        WHERE extname = 'vector';
        RAISE EXCEPTION 'the extension vector is in schema %, which is not on the search path: run ALTER EXTENSION vector SET SCHEMA %', home, current_schema();
    END IF;

    SELECT atttypmod INTO present FROM pg_attribute
    WHERE attrelid = to_regclass('store_vectors') AND attname = 'embedding' AND NOT attisdropped;
    IF present <> wanted THEN
        RAISE EXCEPTION 'the database has vectors of % dimensions, and can have those of one dimension alone: give store.index.dims that value, or delete them by agentic migrate vectors --remove', present;
    END IF;

    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS store_vectors (
            prefix text NOT NULL,
            key text NOT NULL,
            field_name text NOT NULL,
            embedding vector(%s),
            created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP,
            updated_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP,
            PRIMARY KEY (prefix, key, field_name),
            FOREIGN KEY (prefix, key) REFERENCES store (prefix, key) ON DELETE CASCADE
        )', wanted
    );
    DROP INDEX IF EXISTS store_vectors_embedding_idx;
    -- A vector of up to 2,000 dimensions in its row is read four times as fast as one beside it.
    ALTER TABLE store_vectors SET (toast_tuple_target = 8160);
    -- What the library's setup() counts: its last step is the index that is left out here, so that nobody builds it.
    CREATE TABLE IF NOT EXISTS vector_migrations (v integer PRIMARY KEY);
    INSERT INTO vector_migrations (v) VALUES (0), (1), (2) ON CONFLICT DO NOTHING;
    CREATE TABLE IF NOT EXISTS agentic_vectors (
        dims integer PRIMARY KEY,
        checksum text NOT NULL,
        applied_at timestamp with time zone NOT NULL DEFAULT now()
    );
    INSERT INTO agentic_vectors (dims, checksum)
    VALUES (wanted, coalesce(nullif(current_setting('agentic.vectors_checksum', true), ''), 'by hand'))
    ON CONFLICT (dims) DO UPDATE SET checksum = excluded.checksum
        WHERE agentic_vectors.checksum <> excluded.checksum AND excluded.checksum <> 'by hand';

    SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attname) INTO columns
    FROM pg_attribute
    WHERE attrelid = 'store_vectors'::regclass AND attnum > 0 AND NOT attisdropped;
    IF columns NOT LIKE format(
        'created_at timestamp with time zone, embedding %%vector(%s), field_name text, key text, prefix text, updated_at timestamp with time zone',
        wanted
    ) OR (SELECT count(*) FROM pg_constraint WHERE conrelid = 'store_vectors'::regclass AND contype IN ('p', 'f')) <> 2
    THEN
        RAISE EXCEPTION 'the table store_vectors is another one than this makes (%): delete it by agentic migrate vectors --remove', columns;
    END IF;

    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_operator') THEN
        GRANT SELECT ON agentic_vectors, vector_migrations TO agentic_operator;
        -- What the dimension is, is read from the catalog; rows go with the items that they belong to.
        GRANT SELECT, DELETE ON store_vectors TO agentic_operator;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentic_runner') THEN
        GRANT SELECT ON agentic_vectors, vector_migrations TO agentic_runner;
        GRANT SELECT, INSERT, UPDATE, DELETE ON store_vectors TO agentic_runner;
    END IF;

    IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = 'store'::regclass AND polname = 'agentic_own') THEN
        -- The migrations found no roles of tenants, and said so.
        RETURN;
    END IF;
    GRANT SELECT ON agentic_vectors, vector_migrations TO agentic_tenant;
    GRANT SELECT, INSERT, UPDATE, DELETE ON store_vectors TO agentic_tenant;

    FOR bound IN
        SELECT relation, condition
        FROM (VALUES
            ('store_vectors', format(
                'prefix ~>=~ (SELECT ''project-'' || tenants.namespace || ''.'' %1$s) '
                'AND prefix ~<~ (SELECT ''project-'' || tenants.namespace || ''/'' %1$s)', own
            )),
            ('vector_migrations', NULL),
            ('agentic_vectors', NULL)
        ) AS tables (relation, condition)
    LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = bound.relation::regclass AND polname = 'agentic_all') THEN
            EXECUTE format(
                CASE WHEN bound.condition IS NULL
                    THEN 'CREATE POLICY agentic_all ON %I FOR SELECT TO PUBLIC USING (true)'
                    ELSE 'CREATE POLICY agentic_all ON %I TO agentic_operator, agentic_runner USING (true) WITH CHECK (true)'
                END,
                bound.relation
            );
        END IF;
        IF bound.condition IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM pg_policy WHERE polrelid = bound.relation::regclass AND polname = 'agentic_own'
        ) THEN
            EXECUTE format('CREATE POLICY agentic_own ON %I TO agentic_tenant USING (%s)', bound.relation, bound.condition);
        END IF;
        IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = bound.relation::regclass) THEN
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', bound.relation);
        END IF;
    END LOOP;
END
$$;
