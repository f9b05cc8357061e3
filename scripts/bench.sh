#!/usr/bin/env bash
# Brings up RabbitMQ and PostgreSQL, builds for release and measures; writes the part `measured` of
# docs/PERFORMANCE.md and docs/performance.svg. Arguments go to `conductor-bench run`: with any, nothing is written
# unless they say so (--document, --plot).
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/python.sh
source "$root_dir/scripts/lib/python.sh"
cd "$root_dir"

[ "$(uname)" = Linux ] || die "the benchmark reads CPU time and memory from /proc: it runs on Linux only"
[ $# -gt 0 ] || set -- --document docs/PERFORMANCE.md --plot docs/performance.svg

need_rust
scripts/services.sh up rabbitmq postgres
eval "$(scripts/services.sh env)"
python=$(python_environment bench-python "$root_dir/bench/requirements.txt" \
    'import oslo_messaging, psycopg, sqlalchemy')
say "building for release (the first time takes minutes) ..."
start=$(now_ms)
cargo build --release --locked --package mesos-conductor --package mesos-conductor-bench --bins
say "built ($(since "$start"))"

start=$(now_ms)
"$target_dir/release/conductor-bench" run --worker "$target_dir/release/mesos-conductor" \
    --bare "$target_dir/release/conductor-bench-bare" --python "$python" "$@"
say "measured ($(since "$start")); the servers stay up, scripts/services.sh down ends them"
