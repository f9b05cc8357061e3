# shellcheck shell=bash
# shellcheck disable=SC2154  # Variables of common.sh.
# A private RabbitMQ node: own port, own data, own port mapper (epmd), untouched by the machine's RabbitMQ.
# Sourced after common.sh and process.sh.

rabbitmq_dir=$services_dir/rabbitmq
rabbitmq_user=guest
rabbitmq_password=guest

# Debian's /usr/sbin/rabbitmq-server changes to the user `rabbitmq`; the program behind it runs as whoever we are.
rabbitmq_program() {
    local candidate
    for candidate in "/usr/lib/rabbitmq/bin/$1" "$(command -v "$1" 2>/dev/null || true)"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

rabbitmq_installed() { rabbitmq_program rabbitmq-server >/dev/null && have erl; }

# `amqp_answers HOST PORT USER PASSWORD`: really AMQP, and the login is good.
amqp_answers() {
    if have timeout; then
        timeout 5 bash "$root_dir/scripts/lib/amqp-probe.sh" "$@" 2>/dev/null
    else
        bash "$root_dir/scripts/lib/amqp-probe.sh" "$@" 2>/dev/null
    fi
}

rabbitmq_url() { echo "amqp://$rabbitmq_user:$rabbitmq_password@127.0.0.1:$1/%2f"; }

# The environment that the node and its tools share. HOME holds the cookie by which they know each other.
# RUNNING_UNDER_SYSTEMD makes the start script become the node instead of waiting for it: one process to end.
rabbitmq_environment() {
    local port=$1
    printf '%s\n' \
        "HOME=$rabbitmq_dir" \
        "RABBITMQ_NODENAME=conductor@localhost" \
        "RABBITMQ_CONF_ENV_FILE=$rabbitmq_dir/env.conf" \
        "RABBITMQ_CONFIG_FILE=$rabbitmq_dir/rabbitmq.conf" \
        "RABBITMQ_ADVANCED_CONFIG_FILE=$rabbitmq_dir/advanced.config" \
        "RABBITMQ_ENABLED_PLUGINS_FILE=$rabbitmq_dir/enabled_plugins" \
        "RABBITMQ_MNESIA_BASE=$rabbitmq_dir/data" \
        "RABBITMQ_LOG_BASE=$rabbitmq_dir/log" \
        "RUNNING_UNDER_SYSTEMD=true" \
        "RABBITMQ_DIST_PORT=$((port + 1))" \
        "ERL_EPMD_PORT=$((port + 2))" \
        "ERL_EPMD_ADDRESS=127.0.0.1"
}

rabbitmq_configure() {
    mkdir -p "$rabbitmq_dir/data" "$rabbitmq_dir/log"
    : >"$rabbitmq_dir/env.conf"
    echo '[].' >"$rabbitmq_dir/advanced.config"
    echo '[].' >"$rabbitmq_dir/enabled_plugins"
    sed "s/@PORT@/$1/" "$root_dir/config/rabbitmq/test-node.conf" >"$rabbitmq_dir/rabbitmq.conf"
    # Somebody's own node may have more (scripts/private-rabbitmq.sh).
    if [ -f "${rabbitmq_more_config:-}" ]; then cat "$rabbitmq_more_config" >>"$rabbitmq_dir/rabbitmq.conf"; fi
    if [ -f "${rabbitmq_plugins:-}" ]; then cp "$rabbitmq_plugins" "$rabbitmq_dir/enabled_plugins"; fi
}

# Three ports in a row: AMQP, the node's own, and epmd's.
rabbitmq_ports_free() { ! port_taken "$1" && ! port_taken $(($1 + 1)) && ! port_taken $(($1 + 2)); }

rabbitmq_port() {
    local port=${CONDUCTOR_TEST_AMQP_PORT:-25690}
    until rabbitmq_ports_free "$port"; do
        port=$((port + 10))
        [ "$port" -lt 26690 ] || die "no three free ports in a row from 25690 to 26690 on 127.0.0.1"
    done
    echo "$port"
}

rabbitmq_up() {
    local start port variables
    start=$(now_ms)
    if our_process rabbitmq >/dev/null && port=$(cat "$rabbitmq_dir/port") &&
        amqp_answers 127.0.0.1 "$port" "$rabbitmq_user" "$rabbitmq_password"; then
        say "rabbitmq: already up on 127.0.0.1:$port ($(since "$start"))"
        rabbitmq_url "$port" >"$rabbitmq_dir/url"
        return 0
    fi
    rabbitmq_down
    port=$(rabbitmq_port)
    rabbitmq_configure "$port"
    variables=()
    while IFS= read -r line; do variables+=("$line"); done < <(rabbitmq_environment "$port")
    # Started by us, not by the node, so that its process id is ours to end.
    start_process epmd "$rabbitmq_dir/log/epmd.log" \
        "$(rabbitmq_epmd)" -port $((port + 2)) -address 127.0.0.1
    # In its own directory: a node that is killed may leave its memory where it was started.
    # shellcheck disable=SC2016
    start_process rabbitmq "$rabbitmq_dir/log/start.log" \
        sh -c 'cd "$1" && shift && exec "$@"' sh "$rabbitmq_dir" \
        env "${variables[@]}" "$(rabbitmq_program rabbitmq-server)"
    if ! wait_until 90 rabbitmq_answers_or_died "$port" || ! our_process rabbitmq >/dev/null; then
        show_log "$rabbitmq_dir/log/start.log"
        rabbitmq_down
        die "rabbitmq did not come up on 127.0.0.1:$port" "its logs are in $rabbitmq_dir/log"
    fi
    echo "$port" >"$rabbitmq_dir/port"
    rabbitmq_url "$port" >"$rabbitmq_dir/url"
    say "rabbitmq: started on 127.0.0.1:$port ($(since "$start"))"
}

rabbitmq_answers_or_died() {
    ! our_process rabbitmq >/dev/null || amqp_answers 127.0.0.1 "$1" "$rabbitmq_user" "$rabbitmq_password"
}

# Some systems keep epmd beside the emulator only, outside PATH.
rabbitmq_epmd() {
    local found
    if have epmd; then
        command -v epmd
    elif found=$(find /usr/lib/erlang /usr/local/lib/erlang -name epmd -type f 2>/dev/null | head -n 1) &&
        [ -n "$found" ]; then
        echo "$found"
    else
        die "Erlang's epmd was not found" "it comes with Erlang: is its installation complete?"
    fi
}

rabbitmq_down() {
    end_process rabbitmq 30
    end_process epmd 5
}

rabbitmq_status() {
    local port
    if our_process rabbitmq >/dev/null && port=$(cat "$rabbitmq_dir/port" 2>/dev/null) &&
        amqp_answers 127.0.0.1 "$port" "$rabbitmq_user" "$rabbitmq_password"; then
        echo "up on 127.0.0.1:$port"
    else
        echo "down"
        return 1
    fi
}

# rabbitmqctl and its like, against the private node.
rabbitmq_tool() {
    local port tool=$1 variables
    shift
    port=$(cat "$rabbitmq_dir/port" 2>/dev/null) || die "the private rabbitmq is not up"
    variables=()
    while IFS= read -r line; do variables+=("$line"); done < <(rabbitmq_environment "$port")
    exec env "${variables[@]}" "$(rabbitmq_program "$tool")" "$@"
}
