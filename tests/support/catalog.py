"""What a PostgreSQL database's tables look like, as comparable text."""

from tests.support.postgres import PostgresDatabase

CHECKPOINT_TABLES = frozenset(
    {"checkpoints", "checkpoint_blobs", "checkpoint_writes", "checkpoint_migrations", "store", "store_migrations"}
)

_COLUMNS = """
SELECT relname, format('%s %s%s%s', attname, format_type(atttypid, atttypmod),
    CASE WHEN attnotnull THEN ' not null' ELSE '' END, ' default ' || pg_get_expr(adbin, adrelid))
FROM pg_class
JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
_CONSTRAINTS = """
SELECT relname, format('%s: %s', conname, pg_get_constraintdef(pg_constraint.oid))
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE relnamespace = 'public'::regnamespace AND contype <> 'n'
"""
_INDEXES = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"


def describe_tables(database: PostgresDatabase) -> dict[str, set[str]]:
    """Return, by table, its columns with types and defaults, its constraints and its indexes."""
    found: dict[str, set[str]] = {}
    for query in (_COLUMNS, _CONSTRAINTS, _INDEXES):
        for table, text in database.execute(query):
            found.setdefault(str(table), set()).add(" ".join(str(text).split()))
    return found


def describe_checkpoint_tables(database: PostgresDatabase) -> dict[str, set[str]]:
    """Do as ``describe_tables`` for the tables of langgraph-checkpoint-postgres alone."""
    return {table: text for table, text in describe_tables(database).items() if table in CHECKPOINT_TABLES}
