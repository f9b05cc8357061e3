#!/usr/bin/env bash
# Builds the worker and what breaks it, and runs the table of faults; arguments go to `conductor-chaos`.
#
# CHAOS_OLD_COMMIT names the earlier build of the row with two versions: by default the commit before the last that
# changed src. CHAOS_PROFILE is how the worker is built: dev, or release, which is the default of the long form (an hour
# and more), where a thousand operations have to end in each row. A guard can be left out (--guard-off) of a test build
# only.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
cd "$root_dir"

need_rust
scripts/services.sh install rabbitmq postgres
start=$(now_ms)

# The value that follows --seconds.
seconds=$(sed -n 's/.*--seconds[ =]\([0-9]*\).*/\1/p' <<<"$*")
profile=${CHAOS_PROFILE:-$([ "${seconds:-0}" -ge 3600 ] && echo release || echo dev)}
case $profile in
    dev) built_dir=$target_dir/debug ;;
    release) built_dir=$target_dir/release ;;
    *) die "CHAOS_PROFILE is dev or release, not $profile" ;;
esac

# Everything with the features of `make test`: a guard can be left out, a message can kill its worker.
build() { cargo build --profile "$profile" --workspace --all-features --locked --bins; }

# Through the same target directory, so that dependencies are built once.
old_worker() {
    local commit=$1 source=$target_dir/chaos/source program=$target_dir/chaos/mesos-conductor-$1-$profile
    if [ ! -x "$program" ]; then
        say "building the earlier version, $commit ..."
        mkdir -p "$target_dir/chaos"
        git worktree remove --force "$source" 2>/dev/null || rm -rf "$source"
        git worktree prune
        git worktree add --quiet --detach "$source" "$commit"
        (cd "$source" && CARGO_TARGET_DIR=$target_dir build)
        cp "$built_dir/mesos-conductor" "$program"
        git worktree remove --force "$source"
    fi
    echo "$program"
}

old=()
commit=${CHAOS_OLD_COMMIT:-$(git log -2 --format=%h -- src 2>/dev/null | tail -n 1)}
if [ -n "$commit" ] && [[ " $* " != *" --guard-off "* ]]; then
    program=$(old_worker "$commit")
    old=(--old-worker "$program")
fi
say "building (the first time takes minutes) ..."
build
say "built ($(since "$start"))"
rm -rf "$target_dir/chaos/kept"
"$built_dir/conductor-chaos" --worker "$built_dir/mesos-conductor" "${old[@]}" \
    --scripts "$root_dir/scripts" --keep "$target_dir/chaos/kept" "$@"
