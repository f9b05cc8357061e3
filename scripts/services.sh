#!/usr/bin/env bash
# The servers that the tests and the demo need: private instances on 127.0.0.1, their data in target/services.
# A server named by its variable (CONDUCTOR_TEST_AMQP_URL, CONDUCTOR_TEST_POSTGRES_URL,
# CONDUCTOR_TEST_MYSQL_URL) is used as it is, and nothing is started in its place.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/process.sh
source "$root_dir/scripts/lib/process.sh"
# shellcheck source=scripts/lib/rabbitmq.sh
source "$root_dir/scripts/lib/rabbitmq.sh"
# shellcheck source=scripts/lib/postgres.sh
source "$root_dir/scripts/lib/postgres.sh"
# shellcheck source=scripts/lib/mariadb.sh
source "$root_dir/scripts/lib/mariadb.sh"
# shellcheck source=scripts/lib/docker.sh
source "$root_dir/scripts/lib/docker.sh"

usage() {
    cat <<'END'
usage: scripts/services.sh COMMAND [rabbitmq] [postgres] [mariadb]     (no name: all three)

  up       start what is not up yet, installing it first on Debian, and write target/services/env
  down     end what `up` started; the data stays
  clean    down, and remove the data
  status   say what is up; fails unless everything named is
  install  install what is missing, and start nothing
  env      print the URLs as shell exports: eval "$(scripts/services.sh env)"
  demo     find or start a RabbitMQ for the demo and print its URL
  ctl      run rabbitmqctl against the private node: scripts/services.sh ctl list_queues

Ports: CONDUCTOR_TEST_AMQP_PORT (25690, and the next two), CONDUCTOR_TEST_POSTGRES_PORT (25432),
CONDUCTOR_TEST_MYSQL_PORT (23306); one that is taken is passed over.
CONDUCTOR_SETUP_DRY_RUN=1 says what would be installed, and installs nothing.
END
}

variable_of() {
    case $1 in
        rabbitmq) echo CONDUCTOR_TEST_AMQP_URL ;;
        postgres) echo CONDUCTOR_TEST_POSTGRES_URL ;;
        mariadb) echo CONDUCTOR_TEST_MYSQL_URL ;;
        *) die "there is no service '$1'" "the services are rabbitmq, postgres and mariadb" ;;
    esac
}

package_of() {
    case $1 in
        rabbitmq) echo rabbitmq-server ;;
        postgres) echo postgresql ;;
        mariadb) echo mariadb-server ;;
    esac
}

# A server that the caller named, if any. One that we started before is not: a shell that evaluated `env` still
# names it after `down`.
given_url() {
    local variable
    variable=$(variable_of "$1")
    if [ "${!variable:-}" != "$(cat "$services_dir/$1/url" 2>/dev/null)" ]; then
        printf '%s' "${!variable:-}"
    fi
}

# What to do where nothing can be installed for the reader.
explain_missing() {
    local service variable
    say "error: not installed here, and only Debian's apt-get (as root or with sudo) is used to install: $*"
    for service in "$@"; do
        variable=$(variable_of "$service")
        case $service in
            rabbitmq)
                say "  rabbitmq: install RabbitMQ 3.10 or later (rabbitmq-server and erl in PATH; with Homebrew:"
                say "            brew install rabbitmq), or name a running one:"
                say "            export $variable=amqp://guest:guest@127.0.0.1:5672/%2f"
                ;;
            postgres)
                say "  postgres: install PostgreSQL 13 or later (initdb and pg_ctl in PATH; with Homebrew:"
                say "            brew install postgresql@15), or name a running one and a role with CREATEDB:"
                say "            export $variable=postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE"
                ;;
            mariadb)
                say "  mariadb:  install MariaDB 10.6 or later (mariadbd and mariadb-install-db in PATH; with Homebrew:"
                say "            brew install mariadb), or name a running one and a user that may create databases:"
                say "            export $variable=mysql://USER:PASSWORD@127.0.0.1:3306/DATABASE"
                ;;
        esac
    done
    exit 1
}

# Installs what is missing among the services named; one run of apt-get for all of them.
install_missing() {
    local service missing=() packages=()
    for service in "$@"; do
        if [ -z "$(given_url "$service")" ] && ! "${service}_installed"; then
            missing+=("$service")
            packages+=("$(package_of "$service")")
        fi
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if can_install; then
        apt_install "${packages[@]}"
    elif ! docker_works; then
        explain_missing "${missing[@]}"
    fi
}

up() {
    local service
    lock services
    mkdir -p "$services_dir"
    install_missing "$@"
    for service in "$@"; do
        if [ -n "$(given_url "$service")" ]; then
            say "$service: using the one named by $(variable_of "$service")"
        elif [ "${CONDUCTOR_SETUP_DRY_RUN:-0}" = 1 ]; then
            say "$service: would start a private instance"
        elif "${service}_installed"; then
            "${service}_up"
        else
            docker_up "$service"
        fi
    done
    print_env >"$services_dir/env.new"
    mv "$services_dir/env.new" "$services_dir/env"
}

# One `export` for each server that is named or was started by us and is up.
print_env() {
    local service url
    for service in rabbitmq postgres mariadb; do
        url=$(given_url "$service")
        if [ -z "$url" ] && service_state "$service" >/dev/null; then
            url=$(cat "$services_dir/$service/url")
        fi
        if [ -n "$url" ]; then
            printf 'export %s=%q\n' "$(variable_of "$service")" "$url"
        fi
    done
}

down() {
    local service start
    lock services
    for service in "$@"; do
        start=$(now_ms)
        if docker_has "$service"; then
            docker_down "$service"
            say "$service: container stopped ($(since "$start"))"
        elif "${service}_status" >/dev/null 2>&1; then
            "${service}_down"
            say "$service: ended ($(since "$start"))"
        else
            "${service}_down"
        fi
    done
    mkdir -p "$services_dir"
    print_env >"$services_dir/env"
}

clean() {
    local service
    down "$@"
    for service in "$@"; do
        if [ "$service" = postgres ]; then postgres_clean; fi
        rm -rf "${services_dir:?}/$service"
    done
}

service_state() {
    if docker_has "$1"; then
        echo "up in docker"
    else
        "${1}_status"
    fi
}

status() {
    local service all=0 state
    for service in "$@"; do
        state=$(service_state "$service") || all=1
        say "$service: $state"
    done
    return $all
}

# The demo's broker: one that is named, else one that runs where RabbitMQ runs by default, else our own.
demo() {
    local url=${CONDUCTOR_DEMO_AMQP_URL:-$(given_url rabbitmq)}
    if [ -n "$url" ]; then
        say "rabbitmq: using the one named by CONDUCTOR_DEMO_AMQP_URL or CONDUCTOR_TEST_AMQP_URL"
    elif amqp_answers 127.0.0.1 5672 guest guest; then
        say "rabbitmq: using the one that runs on 127.0.0.1:5672"
        url=amqp://guest:guest@127.0.0.1:5672/%2f
    else
        up rabbitmq
        url=$(cat "$rabbitmq_dir/url")
    fi
    echo "$url"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
    up | down | clean | status)
        [ $# -gt 0 ] || set -- rabbitmq postgres mariadb
        for service in "$@"; do variable_of "$service" >/dev/null; done
        "$command" "$@"
        ;;
    env) print_env ;;
    install)
        [ $# -gt 0 ] || set -- rabbitmq postgres mariadb
        lock services
        install_missing "$@"
        ;;
    demo) demo ;;
    ctl) rabbitmq_tool rabbitmqctl "$@" ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        exit 2
        ;;
esac
