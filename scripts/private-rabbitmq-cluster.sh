#!/usr/bin/env bash
# Three RabbitMQ nodes in a cluster of a test's own, for as long as somebody holds our stdin open.
#
# usage: scripts/private-rabbitmq-cluster.sh DIRECTORY PORT
#
# Prints the URLs of the nodes, separated by commas, when they form one cluster. Lines on stdin: "kill N" ends node N as
# kill -9 does, "start N" starts it again and waits until it answers; "ok" or "failed" answers each. From PORT on, free
# ports are looked for. DIRECTORY is removed at the end.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/process.sh
source "$root_dir/scripts/lib/process.sh"
services_dir=$1
# shellcheck source=scripts/lib/rabbitmq.sh
source "$root_dir/scripts/lib/rabbitmq.sh"

ports=()
epmd_port=

find_ports() {
    local port=$1
    while [ ${#ports[@]} -lt 3 ]; do
        if ! port_taken "$port" && ! port_taken $((port + 1)); then ports+=("$port"); fi
        port=$((port + 2))
    done
    until ! port_taken "$port"; do port=$((port + 1)); done
    epmd_port=$port
}

# What a node and its tools share.
node_environment() {
    local node=$1 home=$services_dir/node$1
    printf '%s\n' \
        "HOME=$services_dir" \
        "RABBITMQ_NODENAME=node$node@localhost" \
        "RABBITMQ_CONF_ENV_FILE=$home/env.conf" \
        "RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf" \
        "RABBITMQ_ADVANCED_CONFIG_FILE=$home/advanced.config" \
        "RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins" \
        "RABBITMQ_MNESIA_BASE=$home/data" \
        "RABBITMQ_LOG_BASE=$home/log" \
        "RUNNING_UNDER_SYSTEMD=true" \
        "RABBITMQ_DIST_PORT=$((ports[node] + 1))" \
        "ERL_EPMD_PORT=$epmd_port" \
        "ERL_EPMD_ADDRESS=127.0.0.1"
}

with_node() {
    local node=$1 variables=()
    shift
    while IFS= read -r line; do variables+=("$line"); done < <(node_environment "$node")
    env "${variables[@]}" "$@"
}

configure() {
    local node home=$services_dir/node$1
    mkdir -p "$home/data" "$home/log"
    : >"$home/env.conf"
    echo '[].' | tee "$home/advanced.config" >"$home/enabled_plugins"
    sed "s/@PORT@/${ports[$1]}/" "$root_dir/config/rabbitmq/test-node.conf" >"$home/rabbitmq.conf"
    {
        echo 'cluster_formation.peer_discovery_backend = rabbit_peer_discovery_classic_config'
        for node in 0 1 2; do
            echo "cluster_formation.classic_config.nodes.$((node + 1)) = node$node@localhost"
        done
        # One that comes back must not wait for the others at length.
        echo 'cluster_partition_handling = ignore'
    } >>"$home/rabbitmq.conf"
}

node_answers() { amqp_answers 127.0.0.1 "${ports[$1]}" "$rabbitmq_user" "$rabbitmq_password"; }

start_node() {
    local variables=()
    while IFS= read -r line; do variables+=("$line"); done < <(node_environment "$1")
    start_process "node$1" "$services_dir/node$1/log/start.log" \
        env "${variables[@]}" "$(rabbitmq_program rabbitmq-server)"
    wait_until 90 node_answers "$1"
}

kill_node() {
    local pid
    pid=$(our_process "node$1") && kill -KILL "$pid"
}

whole() {
    [ "$(with_node 0 "$(rabbitmq_program rabbitmqctl)" -q eval 'length(nodes()).' 2>/dev/null)" = 2 ]
}

end() {
    local name pid
    for name in node0 node1 node2 epmd; do
        if pid=$(our_process "$name"); then kill -KILL "$pid"; fi
    done
    rm -rf "$services_dir"
}

rabbitmq_installed || die "RabbitMQ is not installed here"
trap end EXIT
trap 'exit 1' INT TERM
mkdir -p "$services_dir"
find_ports "$2"
# The cookie by which nodes know each other.
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$services_dir/.erlang.cookie"
chmod 400 "$services_dir/.erlang.cookie"
start_process epmd "$services_dir/epmd.log" "$(rabbitmq_epmd)" -port "$epmd_port" -address 127.0.0.1
for node in 0 1 2; do
    configure "$node"
    start_node "$node" || { show_log "$services_dir/node$node/log/start.log" && die "node $node did not come up"; }
done
wait_until 60 whole || die "the three nodes did not form a cluster"
for node in 0 1 2; do rabbitmq_url "${ports[node]}"; done | paste -sd,
while IFS= read -r line; do
    read -r what node <<<"$line"
    case $what in
        kill) if kill_node "$node" >&2; then echo ok; else echo failed; fi ;;
        start) if start_node "$node" </dev/null >&2; then echo ok; else echo failed; fi ;;
        *) echo failed ;;
    esac
done
