#!/usr/bin/env bash
# A Keystone and a Heat of our own, with a RabbitMQ and a MariaDB of their own, on 127.0.0.1. The programs are from PyPI
# (scripts/openstack/requirements.txt) and the servers from Debian; all state lies in target/openstack. Nova, Neutron,
# Octavia and Cinder are stand-ins within Heat (scripts/openstack/stand_ins).
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/process.sh
source "$root_dir/scripts/lib/process.sh"
# shellcheck source=scripts/lib/python.sh
source "$root_dir/scripts/lib/python.sh"
services_dir=$target_dir/openstack
first_port=${CONDUCTOR_E2E_PORT:-29200}
export CONDUCTOR_TEST_AMQP_PORT=$first_port CONDUCTOR_TEST_MYSQL_PORT=$((first_port + 30))
# shellcheck source=scripts/lib/rabbitmq.sh
source "$root_dir/scripts/lib/rabbitmq.sh"
# shellcheck source=scripts/lib/mariadb.sh
source "$root_dir/scripts/lib/mariadb.sh"

source_dir=$root_dir/scripts/openstack
venv_dir=$target_dir/python-openstack
region=RegionOne
# The servers listen on 127.0.0.1 only, and hold nothing that is worth a secret.
password=nothing-to-hide

usage() {
    cat <<'END'
usage: scripts/openstack.sh COMMAND

  up      install and start what is not up yet
  down    end what `up` started; the data stays
  clean   down, and remove the data
  status  say what is up; fails unless all is
  env     print how to use it as shell exports: eval "$(scripts/openstack.sh env)"
  database NAME   make an empty database for the conductor and print its URL

Ports: from CONDUCTOR_E2E_PORT (29200) on; one that is taken is passed over.
END
}

install() {
    local missing=()
    rabbitmq_installed || missing+=(rabbitmq-server)
    mariadb_installed || missing+=(mariadb-server)
    if [ ${#missing[@]} -gt 0 ]; then
        can_install || die "not installed here: ${missing[*]}" "install them, or run this on Debian as root"
        apt_install "${missing[@]}"
    fi
    python_environment python-openstack "$source_dir/requirements.txt" 'import heat, keystone' >/dev/null
}

# `port_of NAME`: where a server of ours listens, or will.
port_of() { cat "$services_dir/$1.port"; }

# A port that was chosen stays: Keystone's is in the catalog that it keeps.
choose_port() { [ -f "$services_dir/$1.port" ] || free_port "$2" >"$services_dir/$1.port"; }

url_of() { echo "http://127.0.0.1:$(port_of "$1")"; }

# `render FILE PART`: a configuration from its template.
render() {
    local broker database
    broker=rabbit://$rabbitmq_user:$rabbitmq_password@127.0.0.1:$(cat "$rabbitmq_dir/port")//
    database=mysql+pymysql://conductor:conductor@127.0.0.1:$(cat "$mariadb_dir/port")
    sed -e "s#@STATE@#$services_dir#g; s#@SOURCE@#$source_dir#g; s#@VENV@#$venv_dir#g; s#@BROKER@#$broker#g" \
        -e "s#@DATABASE@#$database#g; s#@KEYSTONE@#$(url_of keystone)/v3#g; s#@REGION@#$region#g" \
        -e "s#@PASSWORD@#$password#g; s#@PART@#${2:-}#g" "$source_dir/$1"
}

# `once NAME COMMAND...`: what has to be done to a new database. Done again if it was interrupted.
once() {
    local done_file=$services_dir/$1.done start
    shift
    [ ! -e "$done_file" ] || return 0
    start=$(now_ms)
    "$@" >>"$services_dir/log/setup.log" 2>&1 || {
        show_log "$services_dir/log/setup.log"
        die "$* failed"
    }
    touch "$done_file"
    say "  $(basename "$done_file" .done) ($(since "$start"))"
}

# `sql STATEMENT...`
sql() {
    "$venv_dir/bin/python" - "$(cat "$mariadb_dir/port")" "$@" <<'PYTHON'
import sys
import pymysql
server = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="conductor", password="conductor")
for statement in sys.argv[2:]:
    server.cursor().execute(statement)
PYTHON
}

make_database() {
    sql "DROP DATABASE IF EXISTS \`$1\`" "CREATE DATABASE \`$1\` CHARACTER SET utf8mb4"
    echo "mysql://conductor:conductor@127.0.0.1:$(cat "$mariadb_dir/port")/$1"
}

# `serve NAME COMMAND...`: a server of ours that is not up yet, until it listens or has died.
serve() {
    local name=$1 start
    shift
    start=$(now_ms)
    if our_process "$name" >/dev/null; then
        say "$name: already up"
        return 0
    fi
    start_process "$name" "$services_dir/log/$name.out" "$@"
    if [ -f "$services_dir/$name.port" ]; then
        wait_until 120 listens_or_died "$name" || true
        if ! our_process "$name" >/dev/null || ! port_taken "$(port_of "$name")"; then
            show_log "$services_dir/log/$name.out"
            die "$name did not come up" "its log is $services_dir/log/$name.out"
        fi
    fi
    say "$name: started ($(since "$start"))"
}

listens_or_died() { ! our_process "$1" >/dev/null || port_taken "$(port_of "$1")"; }

bootstrap_keystone() {
    local manage=("$venv_dir/bin/keystone-manage" --config-file "$services_dir/keystone.conf") keys
    keys=(--keystone-user "$(id -un)" --keystone-group "$(id -gn)")
    "${manage[@]}" db_sync
    "${manage[@]}" fernet_setup "${keys[@]}"
    "${manage[@]}" credential_setup "${keys[@]}"
    "${manage[@]}" bootstrap --bootstrap-password "$password" --bootstrap-region-id "$region" \
        --bootstrap-public-url "$(url_of keystone)/v3" --bootstrap-internal-url "$(url_of keystone)/v3" \
        --bootstrap-admin-url "$(url_of keystone)/v3"
}

up_keystone() {
    local configuration=$services_dir/keystone.conf
    mkdir -p "$services_dir/keystone/fernet-keys" "$services_dir/keystone/credential-keys"
    render keystone.conf.in >"$configuration"
    once "keystone: database and administrator" bootstrap_keystone
    # A thread each: with several, a request was seen to be judged by the scope of another one's token.
    serve keystone env OS_KEYSTONE_CONFIG_DIR="$services_dir" OS_KEYSTONE_CONFIG_FILES=keystone.conf \
        "$venv_dir/bin/python" "$source_dir/serve.py" keystone.wsgi.api "$(port_of keystone)" 4 1
    once "keystone: projects, users and domains" "$venv_dir/bin/python" "$source_dir/bootstrap.py" \
        "$(url_of keystone)/v3" "$(url_of heat-api)" "$region" "$password"
}

up_heat() {
    local part
    for part in engine api; do render heat.conf.in "$part" >"$services_dir/heat-$part.conf"; done
    once "heat: database" "$venv_dir/bin/heat-manage" --config-file "$services_dir/heat-engine.conf" db_sync
    serve heat-engine "$venv_dir/bin/heat-engine" --config-file "$services_dir/heat-engine.conf"
    serve heat-api "$venv_dir/bin/python" "$source_dir/serve.py" heat.wsgi.api "$(port_of heat-api)" 1 16 \
        --config-file "$services_dir/heat-api.conf"
}

up() {
    local start
    start=$(now_ms)
    lock openstack
    mkdir -p "$services_dir/log"
    install
    rabbitmq_up
    mariadb_up
    sql "CREATE DATABASE IF NOT EXISTS keystone" "CREATE DATABASE IF NOT EXISTS heat"
    choose_port keystone $((first_port + 40))
    choose_port heat-api $((first_port + 50))
    up_keystone
    up_heat
    print_env >"$services_dir/env.new"
    mv "$services_dir/env.new" "$services_dir/env"
    say "Keystone $(version_of keystone) and Heat $(version_of openstack-heat) are up ($(since "$start"))"
}

version_of() { sed -n "s/^$1==//p" "$source_dir/requirements.txt"; }

print_env() {
    printf 'export CONDUCTOR_E2E_%s=%q\n' \
        AUTH_URL "$(url_of keystone)/v3" \
        AMQP_URL "$(cat "$rabbitmq_dir/url")" \
        REGION "$region" \
        PASSWORD "$password" \
        RELEASES "Keystone $(version_of keystone) and Heat $(version_of openstack-heat)"
}

# Heat's engine first: it tells the others of what it leaves.
down() {
    local name
    lock openstack
    for name in heat-engine heat-api keystone; do end_process "$name" 20; done
    mariadb_down
    rabbitmq_down
    rm -f "$services_dir/env"
    say "openstack: ended"
}

clean() {
    down
    rm -rf "$services_dir"
}

status() {
    local name all=0
    for name in rabbitmq mariadb keystone heat-engine heat-api; do
        if our_process "$name" >/dev/null; then
            say "$name: up"
        else
            say "$name: down"
            all=1
        fi
    done
    return $all
}

case ${1:-help} in
    up | down | clean | status) "$1" ;;
    env) cat "$services_dir/env" 2>/dev/null || die "it is not up" "scripts/openstack.sh up starts it" ;;
    database) make_database "${2:?the name of the database}" ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        exit 2
        ;;
esac
