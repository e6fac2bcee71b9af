#!/bin/sh
# Compares a database with what the migrations make: seven checks, then rows and sizes of each table. Changes nothing.
#
#     ./verify_migration.sh                      PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD (or PGPASSFILE)
#     ./verify_migration.sh CONNECTION_STRING    a URI or key=value pairs; also $POSTGRES_CONNECTION_STRING[_FILE]
#
# Exit status: 0 all passed, 1 a check failed, 2 wrong usage, 20 no database. Needs psql. No password is ever printed;
# prefer a variable to the argument, which others on this machine may see. `agentic migrate verify` does the same.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

if [ $# -gt 1 ]; then
    echo "usage: verify_migration.sh [CONNECTION_STRING]" >&2
    exit 2
fi
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-}" != dumb ]; then
    pass=$(printf '\033[32mPASS\033[0m') fail=$(printf '\033[31m\033[1mFAIL\033[0m')
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    pass=PASS fail=FAIL bold='' plain=''
fi
tab=$(printf '\t')
choose_connection "${1:-}"

if ! found=$(run_psql -A -t -F "$tab" -f "$here/verification.sql" 2>&1); then
    printf '%s  %s  %-12s  %s\n' "$fail" 1 connection "$(explain_failure "$found")"
    exit 20
fi

# The program's record of what it applied, beside the files that lie here.
changed=''
case $found in
    *"check${tab}7${tab}versions${tab}t"*)
        applied=$(run_psql -A -t -F ' ' -c 'SELECT version, checksum FROM agentic_migrations') || exit 20
        for file in "$here"/[0-9]*.up.sql; do
            name=$(basename "$file")
            number=$(printf '%s' "${name%%_*}" | sed 's/^0*//')
            recorded=$(printf '%s\n' "$applied" | sed -n "s/^$number //p")
            actual=$(tr -d '\r' < "$file" | sha256sum | cut -d ' ' -f 1)
            if [ -n "$recorded" ] && [ "$recorded" != "$actual" ]; then
                changed="${changed:+$changed; }$name was changed after it was applied"
            fi
        done
        ;;
esac

printf '%s\n' "$found" | awk -F '\t' -v pass="$pass" -v fail="$fail" -v bold="$bold" -v plain="$plain" \
    -v changed="$changed" '
    function pad(text, width) { while (length(text) < width) text = text " "; return text }
    $1 == "check" {
        if ($3 == "versions" && changed != "") { $4 = "f"; $5 = changed }
        if ($4 != "t") failed++
        checks++
        print ($4 == "t" ? pass : fail) "  " $2 "  " pad($3, 12) "  " $5
    }
    $1 == "size" {
        tables++
        for (column = 1; column <= 4; column++) {
            cell[tables, column] = $(column + 1)
            if (length($(column + 1)) > width[column]) width[column] = length($(column + 1))
        }
    }
    END {
        cell[0, 1] = "TABLE"; cell[0, 2] = "ROWS"; cell[0, 3] = "BYTES"; cell[0, 4] = "SIZE"
        for (column = 1; column <= 4; column++)
            if (length(cell[0, column]) > width[column]) width[column] = length(cell[0, column])
        print ""
        for (row = 0; row <= tables; row++) {
            line = ""
            for (column = 1; column <= 4; column++) line = line (column > 1 ? "  " : "") pad(cell[row, column], width[column])
            sub(/ +$/, "", line)
            print (row == 0 ? bold line plain : line)
        }
        print ""
        print checks - failed " of " checks " checks passed"
        exit failed > 0
    }'
