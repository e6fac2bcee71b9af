#!/bin/sh
# Dumps the database into BACKUP_DIR, in pg_dump's custom format, and keeps the newest BACKUP_KEEP dumps.
#
#     BACKUP_DIR=/backup BACKUP_KEEP=14 POSTGRES_CONNECTION_STRING_FILE=/run/secrets/dsn ./backup.sh
#
# A dump has its name only once it is whole and readable; one that fails leaves the older ones alone. Connect as the
# owner of the schema, or a role with BYPASSRLS: others do not see every row. Exit status: 0 done, 1 failed, 2 wrong
# usage. Beside it lies lib.sh, of migrations/.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

folder=${BACKUP_DIR:-/backup}
keep=${BACKUP_KEEP:-14}
case $keep in
    '' | *[!0-9]* | 0*)
        echo "error: BACKUP_KEEP is '$keep': write how many dumps to keep, 1 or more" >&2
        exit 2
        ;;
esac
if [ ! -d "$folder" ] || [ ! -w "$folder" ]; then
    echo "error: '$folder' is no folder that can be written: set BACKUP_DIR, or mount the volume there" >&2
    exit 2
fi
choose_connection

part="$folder/.agentic-$$.part"
trap 'rm -rf "$part" ${secrets:+"$secrets"}' EXIT
trap 'exit 1' HUP INT TERM
# What a pod left that was killed.
find "$folder" -maxdepth 1 -name '.agentic-*.part' -mmin +1440 -exec rm -f {} +

echo "==> dumping"
pg_dump --format=custom --no-password --lock-wait-timeout=60s --file="$part" ${connection:+--dbname="$connection"}
pg_restore --list "$part" > /dev/null
name="$folder/agentic-$(date -u +%Y%m%dT%H%M%SZ).dump"
sync "$part" 2> /dev/null || sync
mv "$part" "$name"
echo "==> wrote $(basename "$name"), $(wc -c < "$name") bytes"

# Names sort by time.
find "$folder" -maxdepth 1 -name 'agentic-*.dump' | sort -r | tail -n "+$((keep + 1))" | while read -r old; do
    rm -f "$old"
    echo "==> removed $(basename "$old"): $keep are kept"
done
