#!/usr/bin/env bash
# Every check that runs nothing: format, clippy, documentation, shell scripts, docker-compose.yml.
# All of them run even if one fails; the last line says which did.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/python.sh
source "$root_dir/scripts/lib/python.sh"
cd "$root_dir"

failed=()

# `check NAME COMMAND...`
check() {
    local name=$1 start
    shift
    start=$(now_ms)
    if "$@"; then
        say "ok      $name ($(since "$start"))"
    else
        failed+=("$name")
        say "FAILED  $name ($(since "$start")): $*"
    fi
}

format() { cargo fmt --all --check; }

clippy() { cargo clippy --workspace --all-targets --all-features --locked --quiet -- -D warnings; }

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked --quiet
}

shell() { shellcheck --external-sources scripts/*.sh scripts/lib/*.sh .ci/run; }

python_syntax() { "$1" -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]' tests/python/*.py examples/*.py examples/python/*.py scripts/openstack/*.py scripts/openstack/stand_ins/*.py; }

compose_schema() { "$1" -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml >/dev/null; }

need_rust
check format format
check clippy clippy
check documentation documentation
if ! have shellcheck && can_install && [ "${CI:-}" = true ]; then
    apt_install shellcheck
fi
if have shellcheck; then
    check "shell scripts" shell
else
    say "skipped shell scripts: shellcheck is not installed"
fi
python=$(python_environment lint-python "$root_dir/scripts/lint-requirements.txt" 'import check_jsonschema')
check "python syntax" python_syntax "$python"
check "docker-compose.yml against the compose specification" compose_schema "$python"

[ ${#failed[@]} -eq 0 ] || die "lint failed" "${failed[@]}"
say "lint: all checks passed"
