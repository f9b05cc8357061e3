#!/usr/bin/env bash
# Fuzzes the decoders: DURATION seconds (60) for each of the targets given, or for all. What finds new code is added to
# proto/fuzz/corpus; an input that fails is kept in proto/fuzz/artifacts: fix it, then move it to proto/fuzz/regressions.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
cd "$root_dir/proto"

need_rust
if ! cargo fuzz --version >/dev/null 2>&1; then
    say "installing cargo-fuzz ..."
    cargo install cargo-fuzz --locked
fi
# The address sanitizer needs nightly. Without it panics, hangs and memory that grows are found all the same.
if have rustup && rustup toolchain list | grep -q '^nightly'; then
    fuzz=(cargo +nightly fuzz)
    build=()
else
    fuzz=(cargo fuzz)
    build=(--sanitizer none)
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <("${fuzz[@]}" list)
fi
for target in "${targets[@]}"; do
    say "fuzzing $target ..."
    found="fuzz/target/corpus/$target"
    mkdir -p "$found" "fuzz/corpus/$target"
    "${fuzz[@]}" run "${build[@]}" "$target" "$found" "fuzz/corpus/$target" -- \
        -max_total_time="${DURATION:-60}" -max_len=6000 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
    # Only what reaches code that nothing else reaches is kept in the repository.
    "${fuzz[@]}" run "${build[@]}" "$target" "fuzz/corpus/$target" "$found" -- -merge=1 -use_counters=0
done
