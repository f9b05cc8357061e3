#!/usr/bin/env bash
# A PostgreSQL server of a test's own, for as long as somebody holds our stdin open: a test that died takes it along.
#
# usage: scripts/private-postgres.sh DIRECTORY PORT
#
# Prints the server's URL when it can be used. Lines on stdin: "restart" (at once, as after a crash), or SQL for its
# superuser; "ok" or "failed" answers each. From PORT on, a free port is looked for. DIRECTORY is removed at the end.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/process.sh
source "$root_dir/scripts/lib/process.sh"
# shellcheck disable=SC2034  # Of postgres.sh.
services_dir=$1
export CONDUCTOR_TEST_POSTGRES_PORT=$2
# shellcheck source=scripts/lib/postgres.sh
source "$root_dir/scripts/lib/postgres.sh"

end() {
    postgres_down
    postgres_clean
    rm -rf "$services_dir"
}

restart() {
    local home bin
    home=$(postgres_home)
    bin=$(postgres_bin)
    as_postgres "$bin/pg_ctl" -D "$home/data" -m immediate -w -t 30 stop >/dev/null 2>&1
    as_postgres "$bin/pg_ctl" -D "$home/data" -l "$home/data/server.log" -w -t 60 start >/dev/null 2>&1
}

postgres_installed || die "PostgreSQL is not installed here"
trap end EXIT
trap 'exit 1' INT TERM
postgres_up
# Here a crash must lose nothing that was committed.
postgres_sql "$(cat "$postgres_dir/port")" "ALTER SYSTEM SET synchronous_commit = on"
postgres_sql "$(cat "$postgres_dir/port")" "SELECT pg_reload_conf()" >/dev/null
cat "$postgres_dir/url"
while IFS= read -r line; do
    if [ "$line" = restart ]; then
        if (restart) </dev/null >&2; then echo ok; else echo failed; fi
    elif (postgres_sql "$(cat "$postgres_dir/port")" "$line") </dev/null >&2; then
        echo ok
    else
        echo failed
    fi
done
