# shellcheck shell=bash
# The last resort: a service from docker-compose.yml, where neither it nor a way to install it is at hand.
# Sourced after common.sh and rabbitmq.sh.
# shellcheck disable=SC2154  # Variables of common.sh.

# The passwords open containers that listen on 127.0.0.1 only.
compose() {
    (cd "$root_dir" && RABBITMQ_PASSWORD=conductor POSTGRES_PASSWORD=conductor MARIADB_PASSWORD=conductor \
        CONDUCTOR_ENCRYPTION_KEY=unused docker compose "$@" >&2)
}

docker_url() {
    case $1 in
        rabbitmq) echo "amqp://conductor:conductor@127.0.0.1:5672/%2f" ;;
        postgres) echo "postgres://conductor:conductor@127.0.0.1:5432/conductor" ;;
        mariadb) echo "mysql://root:conductor@127.0.0.1:3306/conductor" ;;
    esac
}

docker_up() {
    local start
    start=$(now_ms)
    say "$1: not installed here; starting it with docker compose ..."
    compose up --detach --wait "$1" || die "docker compose could not start $1" "see: docker compose logs $1"
    mkdir -p "$services_dir/$1"
    : >"$services_dir/$1/in-docker"
    docker_url "$1" >"$services_dir/$1/url"
    say "$1: started by docker compose ($(since "$start"))"
}

docker_has() { [ -f "$services_dir/$1/in-docker" ]; }

docker_down() {
    compose stop "$1"
    rm -f "$services_dir/$1/in-docker"
}
