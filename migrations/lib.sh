# Shared by the scripts beside it: how psql is called, so that no password is printed or stands in a command line.

# Connects as libpq's variables say (PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD or PGPASSFILE), or to the connection
# string that take_connection_string was given.
connection=''

run_psql() {
    if [ -n "$connection" ]; then
        psql -X -q -v ON_ERROR_STOP=1 -d "$connection" "$@"
    else
        psql -X -q -v ON_ERROR_STOP=1 "$@"
    fi
}

# take_connection_string STRING: a URI or key=value pairs. The password leaves it for PGPASSWORD.
take_connection_string() {
    connection=$1
    case $connection in
        postgres://*@* | postgresql://*@*)
            credentials=${connection#*://}
            rest=${credentials##*@}
            credentials=${credentials%@*}
            case $credentials in
                *:*)
                    PGPASSWORD=$(decode_percent "${credentials#*:}")
                    connection="postgresql://${credentials%%:*}@$rest"
                    ;;
            esac
            ;;
        *password*=*)
            PGPASSWORD=$(printf '%s' "$connection" | sed -n \
                -e "s/.*password *= *'\(\([^'\\\\]\|\\\\.\)*\)'.*/\1/p;t" -e 's/.*password *= *\([^ ]*\).*/\1/p' |
                sed 's/\\\(.\)/\1/g')
            connection=$(printf '%s' "$connection" | sed \
                -e "s/password *= *'\([^'\\\\]\|\\\\.\)*'//;t" -e 's/password *= *[^ ]*//')
            ;;
    esac
}

# decode_percent TEXT: what is percent-encoded in a URI; a % that encodes nothing stays.
decode_percent() {
    printf '%s' "$1" | LC_ALL=C awk '{
        while (match($0, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
            digits = tolower(substr($0, RSTART + 1, 2))
            code = (index("0123456789abcdef", substr(digits, 1, 1)) - 1) * 16 \
                + index("0123456789abcdef", substr(digits, 2, 1)) - 1
            printf "%s%c", substr($0, 1, RSTART - 1), code
            $0 = substr($0, RSTART + 3)
        }
        printf "%s", $0
    }'
}

# choose_connection [STRING]: as `agentic migrate` does: the argument, the file, the variable, libpq's own. The password is
# in a file afterwards.
choose_connection() {
    if [ -n "${1:-}" ]; then
        take_connection_string "$1"
    elif [ -n "${POSTGRES_CONNECTION_STRING_FILE:-}" ]; then
        take_connection_string "$(cat "$POSTGRES_CONNECTION_STRING_FILE")"
    elif [ -n "${POSTGRES_CONNECTION_STRING:-}" ]; then
        take_connection_string "$POSTGRES_CONNECTION_STRING"
    else
        for variable in PGHOST PGPORT PGDATABASE PGUSER; do
            eval "value=\${$variable:-}"
            if [ -z "$value" ] && [ -z "${PGSERVICE:-}" ]; then
                echo "error: $variable is not set: set PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD (or PGPASSFILE), or name a connection string" >&2
                exit 2
            fi
        done
        if [ -z "${PGPASSWORD:-}${PGPASSFILE:-}${PGSERVICE:-}" ]; then
            echo "error: PGPASSWORD is not set: set it, or PGPASSFILE; an empty file says that the server asks for none" >&2
            exit 2
        fi
    fi
    hide_password
}

# explain_failure TEXT: psql's error as one line.
explain_failure() {
    printf '%s' "$1" | tr '\n\t' '  ' | sed -e 's/^psql: error: //' -e 's/  */ /g' -e 's/ $//'
}

# hide_password: moves PGPASSWORD, where it is set, into a file in the folder $secrets, which goes when the script ends. No
# program that is started afterwards has the password in its environment or command line.
hide_password() {
    unset POSTGRES_CONNECTION_STRING
    secrets=''
    [ -n "${PGPASSWORD:-}" ] || return 0
    if ! secrets=$(mktemp -d); then
        echo "error: no temporary folder for the password: mount a writable one and name it by TMPDIR" >&2
        exit 2
    fi
    trap 'rm -rf "$secrets"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '*:*:*:*:%s\n' "$(printf '%s' "$PGPASSWORD" | sed -e 's/\\/\\\\/g' -e 's/:/\\:/g')" > "$secrets/pgpass"
    chmod 0600 "$secrets/pgpass"
    PGPASSFILE="$secrets/pgpass"
    export PGPASSFILE
    unset PGPASSWORD
}
