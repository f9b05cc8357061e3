#!/usr/bin/env bash
# A RabbitMQ node of a test's own, for as long as somebody holds our stdin open: a test that died takes it along.
#
# usage: scripts/private-rabbitmq.sh DIRECTORY PORT
#
# Prints the node's URL when it can be used. Every line on stdin is a command of rabbitmqctl; "ok" or "failed" answers
# it. What DIRECTORY/more.conf and DIRECTORY/plugins hold is added to the node's configuration. From PORT on, three
# free ports in a row are looked for. DIRECTORY is removed at the end.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/process.sh
source "$root_dir/scripts/lib/process.sh"
services_dir=$1
export CONDUCTOR_TEST_AMQP_PORT=$2
# shellcheck source=scripts/lib/rabbitmq.sh
source "$root_dir/scripts/lib/rabbitmq.sh"

# shellcheck disable=SC2034  # Of rabbitmq_configure.
rabbitmq_more_config=$services_dir/more.conf rabbitmq_plugins=$services_dir/plugins

# Far from where the shared node looks.
rabbitmq_port() {
    local port=$CONDUCTOR_TEST_AMQP_PORT
    until rabbitmq_ports_free "$port"; do port=$((port + 10)); done
    echo "$port"
}

# Nobody needs what is in it: there is nothing to wait for.
end() {
    local name pid
    for name in rabbitmq epmd; do
        if pid=$(our_process "$name"); then kill -KILL "$pid"; fi
    done
    rm -rf "$services_dir"
}

control() {
    local words
    case $1 in
        "eval "*) words=(eval "${1#eval }") ;;
        *) read -ra words <<<"$1" ;;
    esac
    if (rabbitmq_tool rabbitmqctl "${words[@]}") </dev/null >&2; then echo ok; else echo failed; fi
}

rabbitmq_installed || die "RabbitMQ is not installed here"
trap end EXIT
trap 'exit 1' INT TERM
rabbitmq_up
cat "$rabbitmq_dir/url"
while IFS= read -r line; do control "$line"; done
