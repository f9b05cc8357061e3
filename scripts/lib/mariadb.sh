# shellcheck shell=bash
# shellcheck disable=SC2154  # Variables of common.sh.
# A private MariaDB server. Nothing in it is kept safe: the data of tests may die with the machine.
# Sourced after common.sh and process.sh.

mariadb_dir=$services_dir/mariadb

# The server lies in /usr/sbin, which a user's PATH may lack; old releases call it mysqld.
mariadb_program() {
    local name candidate
    for name in "$@"; do
        for candidate in "$(command -v "$name" 2>/dev/null || true)" "/usr/sbin/$name" "/usr/libexec/$name"; do
            if [ -n "$candidate" ] && [ -x "$candidate" ]; then
                echo "$candidate"
                return 0
            fi
        done
    done
    return 1
}

mariadb_installed() {
    mariadb_program mariadbd mysqld >/dev/null && mariadb_program mariadb-install-db mysql_install_db >/dev/null
}

mariadb_url() { echo "mysql://conductor:conductor@127.0.0.1:$1/conductor"; }

# The socket's name is relative (to the data directory) because a socket's whole path may not pass 107 bytes.
mariadb_configure() {
    mkdir -p "$mariadb_dir"
    cat >"$mariadb_dir/my.cnf" <<END
[mysqld]
user = $(id -un)
datadir = $mariadb_dir/data
bind-address = 127.0.0.1
port = $1
socket = server.sock
pid-file = $mariadb_dir/server.pid
log-error = $mariadb_dir/server.log
init-file = $mariadb_dir/init.sql
character-set-server = utf8mb4
collation-server = utf8mb4_general_ci
default-time-zone = +00:00
max_connections = 400
skip-name-resolve
skip-log-bin
performance_schema = off
innodb_buffer_pool_size = 64M
innodb_log_file_size = 48M
innodb_flush_log_at_trx_commit = 0
innodb_flush_method = nosync
innodb_doublewrite = off
sync_binlog = 0
END
    # Run at every start, before the first connection is accepted.
    cat >"$mariadb_dir/init.sql" <<'END'
CREATE DATABASE IF NOT EXISTS conductor CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'conductor'@'%' IDENTIFIED BY 'conductor';
GRANT ALL PRIVILEGES ON *.* TO 'conductor'@'%';
END
}

# Made beside and moved into place when whole: a half-made data directory would look like one.
mariadb_create() {
    rm -rf "$mariadb_dir/data" "$mariadb_dir/new"
    "$(mariadb_program mariadb-install-db mysql_install_db)" --no-defaults --datadir="$mariadb_dir/new" \
        --user="$(id -un)" --skip-test-db --innodb-flush-method=nosync --innodb-log-file-size=48M \
        >"$mariadb_dir/install.log" 2>&1 </dev/null ||
        { show_log "$mariadb_dir/install.log" && die "mariadb: mariadb-install-db failed"; }
    mv "$mariadb_dir/new" "$mariadb_dir/data"
}

# The server speaks first: its greeting is a packet numbered 0 that begins with protocol version 10.
mariadb_answers() {
    local greeting
    greeting=$( (exec 8<>"/dev/tcp/127.0.0.1/$1" && head -c 5 <&8 | od -An -v -tx1 | tr -d ' \n') 2>/dev/null)
    [ "${greeting:6}" = 000a ]
}

mariadb_answers_or_died() { ! our_process mariadb >/dev/null || mariadb_answers "$1"; }

mariadb_up() {
    local start port
    start=$(now_ms)
    if our_process mariadb >/dev/null && port=$(cat "$mariadb_dir/port") && mariadb_answers "$port"; then
        say "mariadb: already up on 127.0.0.1:$port ($(since "$start"))"
        mariadb_url "$port" >"$mariadb_dir/url"
        return 0
    fi
    mariadb_down
    port=$(free_port "${CONDUCTOR_TEST_MYSQL_PORT:-23306}")
    mariadb_configure "$port"
    [ -d "$mariadb_dir/data/mysql" ] || mariadb_create
    start_process mariadb "$mariadb_dir/start.log" \
        "$(mariadb_program mariadbd mysqld)" "--defaults-file=$mariadb_dir/my.cnf"
    if ! wait_until 60 mariadb_answers_or_died "$port" || ! our_process mariadb >/dev/null; then
        show_log "$mariadb_dir/server.log"
        mariadb_down
        die "mariadb did not come up on 127.0.0.1:$port" "its log is $mariadb_dir/server.log"
    fi
    echo "$port" >"$mariadb_dir/port"
    mariadb_url "$port" >"$mariadb_dir/url"
    say "mariadb: started on 127.0.0.1:$port ($(since "$start"))"
}

mariadb_down() { end_process mariadb 30; }

mariadb_status() {
    local port
    if our_process mariadb >/dev/null && port=$(cat "$mariadb_dir/port" 2>/dev/null) && mariadb_answers "$port"; then
        echo "up on 127.0.0.1:$port"
    else
        echo "down"
        return 1
    fi
}
