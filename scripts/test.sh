#!/usr/bin/env bash
# Brings up what the tests need and runs them all; arguments go to `cargo test`.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
cd "$root_dir"

start=$(now_ms)
need_rust
# The set-up of a bay's nodes runs in namespaces of its own; on Fedora CoreOS jq reads its settings.
if ! { have jq && have curl && have ip && have unshare && have openssl; }; then
    can_install || die "jq, curl, ip, unshare and openssl are needed" "install them"
    apt_install jq curl iproute2 util-linux openssl
fi
scripts/services.sh up
services=$(scripts/services.sh env)
eval "$services"
CONDUCTOR_TEST_PYTHON=$(scripts/python-peers.sh)
export CONDUCTOR_TEST_PYTHON
examples=$(scripts/example-peers.sh)
eval "$examples"
# Without these a bare `cargo test` may leave out what it has no server for, or accept a new snapshot.
export CONDUCTOR_TEST_REQUIRE_SERVICES=1 INSTA_UPDATE=no

log=$target_dir/test.log
mkdir -p "$target_dir"
say "running: cargo test --workspace --all-features --locked --no-fail-fast $*"
status=0
cargo test --workspace --all-features --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?

read -r binaries passed failed ignored < <(awk '
    /^test result: / { binaries += 1; passed += $4; failed += $6; ignored += $8 }
    END { print binaries + 0, passed + 0, failed + 0, ignored + 0 }' "$log")
[ "$binaries" -gt 0 ] || die "nothing was run: the build failed"
say ""
say "ran $((passed + failed)) tests in $binaries binaries: $passed passed, $failed failed, $ignored ignored" \
    "($(since "$start"))"
# The addresses, without the passwords in them.
say "with $(sed -n 's#^export [A-Z_]*=\([a-z]*\)://[^@]*@\([^/]*\)/.*#\1 \2#p' <<<"$services" | paste -sd, | sed 's/,/, /g')"
say "and $("$CONDUCTOR_TEST_PYTHON" -m pip list --disable-pip-version-check 2>/dev/null |
    awk '/^(oslo.messaging|magnum) / { printf "%s%s %s", found++ ? ", " : "", $1, $2 }') on $("$CONDUCTOR_TEST_PYTHON" --version)"
say "the servers stay up for the next run; scripts/services.sh down ends them"

[ "$status" -eq 0 ] || die "tests failed; the whole output is in $log"
[ "$passed" -gt 0 ] || die "no test was run"
[ "$ignored" -eq 0 ] || die "$ignored tests were ignored; here every test runs"
