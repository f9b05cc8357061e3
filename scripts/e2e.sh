#!/usr/bin/env bash
# Brings up a real Keystone and Heat (scripts/openstack.sh), builds the worker and what watches it, and has every kind of
# bay live there; arguments go to `conductor-e2e`. What it starts it ends; CONDUCTOR_E2E_KEEP=1 leaves the services up.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
cd "$root_dir"

start=$(now_ms)
need_rust
if [ -z "${CONDUCTOR_E2E_KEEP:-}" ] && ! scripts/openstack.sh status 2>/dev/null; then
    trap 'scripts/openstack.sh down' EXIT
    trap 'exit 130' INT TERM
fi
scripts/openstack.sh up
environment=$(scripts/openstack.sh env)
eval "$environment"

say "building (the first time takes minutes) ..."
building=$(now_ms)
# The whole workspace at once, as `make test` builds it; a pause in the middle of a step needs a test build.
cargo build --workspace --all-features --locked --bins
say "built ($(since "$building"))"

CONDUCTOR_E2E_DATABASE_URL=$(scripts/openstack.sh database conductor)
export CONDUCTOR_E2E_DATABASE_URL
rm -rf "$target_dir/e2e"
ended=0
"$target_dir/debug/conductor-e2e" --worker "$target_dir/debug/mesos-conductor" --directory "$target_dir/e2e" "$@" ||
    ended=$?
[ "$ended" -eq 0 ] || say "the logs of the workers are in $target_dir/e2e, those of Keystone and Heat in" \
    "$target_dir/openstack/log"
say "make e2e took $(since "$start") in all"
exit "$ended"
