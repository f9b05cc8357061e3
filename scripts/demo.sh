#!/usr/bin/env bash
# The demo from nothing: a broker, a build, and a run. What it starts it ends.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
cd "$root_dir"

start=$(now_ms)
need_rust
if ! scripts/services.sh status rabbitmq 2>/dev/null; then
    trap 'scripts/services.sh down rabbitmq' EXIT
fi
CONDUCTOR_DEMO_AMQP_URL=$(scripts/services.sh demo)
export CONDUCTOR_DEMO_AMQP_URL

say "building (the first time takes minutes) ..."
building=$(now_ms)
# The whole workspace at once, as `make test` builds it: a package alone would build its dependencies anew.
cargo build --workspace --locked --bins --example demo
say "built ($(since "$building"))"

"$target_dir/debug/examples/demo" "$@"
say "the demo took $(since "$start") in all"
