#!/usr/bin/env bash
# Brings up RabbitMQ and PostgreSQL, builds for release and measures; writes the parts `measured` and `apps` of
# docs/PERFORMANCE.md, and docs/performance.svg. Arguments go to `conductor-bench run`, or, after the word `apps`, to
# `conductor-bench apps`: then only that part is measured, and nothing is written unless they say so (--document,
# --plot).
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/python.sh
source "$root_dir/scripts/lib/python.sh"
cd "$root_dir"

[ "$(uname)" = Linux ] || die "the benchmark reads CPU time and memory from /proc: it runs on Linux only"
part=run
if [ $# -eq 0 ]; then
    part=all
    set -- --document docs/PERFORMANCE.md --plot docs/performance.svg
elif [ "$1" = apps ]; then
    part=apps
    shift
fi

# A thousand bays are two thousand connections of the worker at times, and more at the stand-in.
descriptors=$(ulimit -n)
if [ "$part" != run ] && [ "$descriptors" != unlimited ] && [ "$descriptors" -lt 8192 ]; then
    ulimit -n 8192 || die "the bays with apps need 8192 file descriptors; this shell allows $(ulimit -Hn)"
fi

need_rust
scripts/services.sh up rabbitmq postgres
eval "$(scripts/services.sh env)"
say "building for release (the first time takes minutes) ..."
start=$(now_ms)
cargo build --release --locked --bins --package mesos-conductor --package mesos-conductor-bench \
    --package mesos-conductor-sandbox
say "built ($(since "$start"))"

start=$(now_ms)
bin_dir=$target_dir/release
if [ "$part" != apps ]; then
    python=$(python_environment bench-python "$root_dir/bench/requirements.txt" \
        'import oslo_messaging, psycopg, sqlalchemy')
    "$bin_dir/conductor-bench" run --worker "$bin_dir/mesos-conductor" --bare "$bin_dir/conductor-bench-bare" \
        --python "$python" "$@"
    set -- --document docs/PERFORMANCE.md
fi
if [ "$part" != run ]; then
    "$bin_dir/conductor-bench" apps --worker "$bin_dir/mesos-conductor" \
        --sandbox "$bin_dir/mesos-conductor-sandbox" "$@"
fi
say "measured ($(since "$start")); the servers stay up, scripts/services.sh down ends them"
