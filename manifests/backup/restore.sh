#!/bin/sh
# Restores a dump of backup.sh into an empty database, all or nothing.
#
#     POSTGRES_CONNECTION_STRING_FILE=owner.txt ./restore.sh agentic-20260301T021700Z.dump
#
# A folder stands for the newest dump in it. Connect as the role that shall own the schema. The group roles that rights
# are given to are made where they are missing and this role may; logins are not in a dump. Exit status: 0 done,
# 1 failed, 2 wrong usage. Beside it lies lib.sh, of migrations/.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

if [ $# -ne 1 ] || [ ! -r "$1" ]; then
    echo "usage: restore.sh DUMP|FOLDER" >&2
    exit 2
fi
dump=$1
if [ -d "$dump" ]; then
    # Names sort by time.
    dump=$(find "$1" -maxdepth 1 -name 'agentic-*.dump' | sort | tail -n 1)
    if [ -z "$dump" ]; then
        echo "error: there is no dump in '$1': name the folder of backup.sh, or a dump" >&2
        exit 2
    fi
fi
choose_connection

tables=$(run_psql -A -t -c "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
if [ "$tables" != 0 ]; then
    echo "error: the database has $tables tables: restore into an empty one, and then let the Secrets name it" >&2
    exit 1
fi
for role in agentic_gateway agentic_operator agentic_runner agentic_tenant; do
    there=$(run_psql -A -t -c "SELECT count(*) FROM pg_roles WHERE rolname = '$role'")
    if [ "$there" = 0 ]; then
        echo "==> making role $role"
        run_psql -c "CREATE ROLE $role NOLOGIN"
    fi
done
echo "==> restoring $(basename "$dump")"
database=$(run_psql -A -t -c "SELECT current_database()")
pg_restore --no-password --no-owner --exit-on-error --single-transaction \
    --dbname="${connection:-$database}" "$dump"
run_psql -c "ANALYZE"
sessions=$(run_psql -A -t -c "SELECT count(*) FROM workflow_sessions")
checkpoints=$(run_psql -A -t -c "SELECT count(*) FROM checkpoints")
echo "==> restored $sessions sessions, $checkpoints checkpoints: check with verify_migration.sh, then make the logins"
