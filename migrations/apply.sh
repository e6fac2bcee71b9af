#!/bin/sh
# Applies the migrations with psql alone and records them as `agentic migrate up` does: each file and its record are one
# transaction. Safe to repeat and to kill; run one at a time.
#
#     PGHOST=… PGPORT=… PGDATABASE=… PGUSER=… PGPASSWORD=… ./apply.sh
#     ./apply.sh CONNECTION_STRING    a URI or key=value pairs; also $POSTGRES_CONNECTION_STRING[_FILE]
#
# Exit status: 0 done, 1 a file was refused, 2 wrong usage, 20 no database.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

if [ $# -gt 1 ]; then
    echo "usage: apply.sh [CONNECTION_STRING]" >&2
    exit 2
fi
choose_connection "${1:-}"
# A statement that waits for a table in use holds up everybody behind it.
PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=warning -c lock_timeout=10s"
export PGOPTIONS

if ! place=$(run_psql -A -t -c "SELECT current_database() || ' as ' || current_user" 2>&1); then
    echo "error: cannot connect: $(explain_failure "$place")" >&2
    exit 20
fi
echo "==> migrating $place"
run_psql -c "CREATE TABLE IF NOT EXISTS agentic_migrations (version integer PRIMARY KEY, name text NOT NULL,
    checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())" || exit 1
applied=$(run_psql -A -t -F ' ' -c 'SELECT version, checksum FROM agentic_migrations') || exit 20
done_some=''
for file in "$here"/[0-9]*.up.sql; do
    name=$(basename "$file" .up.sql)
    digits=${name%%_*}
    number=$(printf '%s' "$digits" | sed 's/^0*//')
    checksum=$(tr -d '\r' < "$file" | sha256sum | cut -d ' ' -f 1)
    recorded=$(printf '%s\n' "$applied" | sed -n "s/^$number //p")
    if [ -n "$recorded" ]; then
        if [ "$recorded" != "$checksum" ]; then
            echo "error: $name.up.sql was changed after it was applied: restore the file" >&2
            exit 1
        fi
        continue
    fi
    echo "==> applying $digits ${name#*_}"
    record="INSERT INTO agentic_migrations (version, name, checksum) VALUES ($number, '${name#*_}', '$checksum')"
    case $(head -n 1 "$file") in
        '-- outside a transaction'*)
            # What a killed build left behind is there by name, and no index.
            for index in $(sed -n 's/.*INDEX CONCURRENTLY IF NOT EXISTS \([a-z0-9_]*\).*/\1/p' "$file"); do
                run_psql -A -t -c "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('$index') AND NOT indisvalid" |
                    grep -q 1 && { run_psql -c "DROP INDEX CONCURRENTLY $index" || exit 1; }
            done
            run_psql -o /dev/null -f "$file" -c "$record" || exit 1
            ;;
        *) run_psql -o /dev/null -1 -f "$file" -c "$record" || exit 1 ;;
    esac
    done_some=yes
done
version=$(run_psql -A -t -c 'SELECT max(version) FROM agentic_migrations') || exit 20
if [ -n "$done_some" ]; then
    echo "==> done: database is at version $version"
else
    echo "==> already applied: database is at version $version"
fi
