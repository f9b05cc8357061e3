# shellcheck shell=bash
# shellcheck disable=SC2154  # Variables of common.sh.
# A private PostgreSQL server. Nothing in it is kept safe: the data of tests may die with the machine.
# Sourced after common.sh and process.sh.

postgres_dir=$services_dir/postgres

# Debian keeps the server's programs out of PATH; the newest release installed serves.
postgres_bin() {
    local dir
    for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) "$(pg_config --bindir 2>/dev/null)" \
        "$(dirname "$(command -v initdb 2>/dev/null || echo /none)")"; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ]; then
            echo "$dir"
            return 0
        fi
    done
    return 1
}

postgres_installed() { postgres_bin >/dev/null; }

# The server refuses to run as root, so root runs it as the user that the package made.
as_postgres() {
    if [ "$(id -u)" -ne 0 ]; then
        (cd "$postgres_dir" && "$@")
    else
        id postgres >/dev/null 2>&1 ||
            die "PostgreSQL refuses to run as root and there is no user 'postgres' to run it as" \
                "create one, or run this as another user"
        (cd / && setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/tmp "$@")
    fi
}

# Where the data lies: below the target directory, unless that is closed to the user `postgres` (a clone in /root
# is): then in a directory of its own in /var/tmp, remembered in the file `home`.
postgres_home() {
    local elsewhere
    mkdir -p "$postgres_dir"
    if [ "$(id -u)" -ne 0 ] || as_postgres test -x "$postgres_dir"; then
        echo "$postgres_dir"
        return 0
    fi
    elsewhere=$(cat "$postgres_dir/home" 2>/dev/null || true)
    if [ ! -d "$elsewhere" ]; then
        elsewhere=$(mktemp -d /var/tmp/mesos-conductor-postgres.XXXXXX)
        chmod 755 "$elsewhere"
        echo "$elsewhere" >"$postgres_dir/home"
    fi
    echo "$elsewhere"
}

postgres_url() { echo "postgres://conductor:conductor@127.0.0.1:$1/conductor"; }

postgres_settings() {
    cat <<END
listen_addresses = '127.0.0.1'
port = $1
unix_socket_directories = ''
max_connections = 400
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 256MB
timezone = 'UTC'
END
}

# Made beside and moved into place when whole: a half-made cluster would look like a cluster.
postgres_create() {
    local home=$1 bin=$2
    rm -rf "$home/data" "$home/new"
    mkdir -p "$home/new"
    if [ "$(id -u)" -eq 0 ]; then chown -R postgres "$home"; fi
    chmod 700 "$home/new"
    as_postgres "$bin/initdb" --pgdata="$home/new" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C --no-sync --no-instructions >"$postgres_dir/initdb.log" 2>&1 </dev/null ||
        { show_log "$postgres_dir/initdb.log" && die "postgres: initdb failed"; }
    mv "$home/new" "$home/data"
}

# Data of another major release cannot be opened by this one.
postgres_data_fits() {
    local version
    version=$(cat "$1/data/PG_VERSION" 2>/dev/null) || return 1
    "$2/postgres" --version | grep -qF " $version."
}

postgres_sql() {
    "$(postgres_bin)/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$1" -U postgres -d postgres -At -c "$2"
}

postgres_role() {
    [ "$(postgres_sql "$1" "SELECT 1 FROM pg_roles WHERE rolname = 'conductor'")" = 1 ] ||
        postgres_sql "$1" "CREATE ROLE conductor LOGIN CREATEDB PASSWORD 'conductor'"
    [ "$(postgres_sql "$1" "SELECT 1 FROM pg_database WHERE datname = 'conductor'")" = 1 ] ||
        postgres_sql "$1" "CREATE DATABASE conductor OWNER conductor"
}

postgres_answers() { "$(postgres_bin)/pg_isready" -q -h 127.0.0.1 -p "$1"; }

# postmaster.pid is PostgreSQL's own, checked by pg_ctl against the data directory: it names only our server.
postgres_running() {
    local home bin
    home=$(postgres_home) && bin=$(postgres_bin) && [ -d "$home/data" ] &&
        as_postgres "$bin/pg_ctl" -D "$home/data" status >/dev/null 2>&1
}

postgres_up() {
    local start home bin port
    start=$(now_ms)
    if [ -f "$postgres_dir/port" ] && port=$(cat "$postgres_dir/port") && postgres_running &&
        postgres_answers "$port"; then
        say "postgres: already up on 127.0.0.1:$port ($(since "$start"))"
        postgres_url "$port" >"$postgres_dir/url"
        return 0
    fi
    postgres_down
    home=$(postgres_home)
    bin=$(postgres_bin)
    port=$(free_port "${CONDUCTOR_TEST_POSTGRES_PORT:-25432}")
    if ! postgres_data_fits "$home" "$bin"; then
        postgres_create "$home" "$bin"
    fi
    postgres_settings "$port" | as_postgres tee "$home/data/postgresql.auto.conf" >/dev/null
    if ! as_postgres "$bin/pg_ctl" -D "$home/data" -l "$home/data/server.log" -w -t 60 start \
        >"$postgres_dir/start.log" 2>&1 </dev/null 3>&- 4>&- 9>&-; then
        show_log "$home/data/server.log"
        die "postgres did not come up on 127.0.0.1:$port" "its log is $home/data/server.log"
    fi
    postgres_role "$port"
    echo "$port" >"$postgres_dir/port"
    postgres_url "$port" >"$postgres_dir/url"
    say "postgres: started on 127.0.0.1:$port ($(since "$start"))"
}

postgres_down() {
    local home
    if postgres_running; then
        home=$(postgres_home)
        as_postgres "$(postgres_bin)/pg_ctl" -D "$home/data" -m fast -w -t 30 stop >/dev/null 2>&1 ||
            as_postgres "$(postgres_bin)/pg_ctl" -D "$home/data" -m immediate -w -t 10 stop >/dev/null 2>&1 || true
    fi
}

postgres_clean() {
    local home
    home=$(postgres_home)
    rm -rf "$home"
}

postgres_status() {
    local port
    if [ -f "$postgres_dir/port" ] && port=$(cat "$postgres_dir/port") && postgres_running &&
        postgres_answers "$port"; then
        echo "up on 127.0.0.1:$port"
    else
        echo "down"
        return 1
    fi
}
