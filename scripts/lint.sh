#!/usr/bin/env bash
# Every check that runs nothing: format, clippy, documentation, shell scripts, docker-compose.yml, what nodes of bays are
# told, the element for their images.
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

shell() {
    shellcheck --external-sources scripts/*.sh scripts/lib/*.sh .ci/run \
        config/heat/common/scripts/{master,agent}.sh config/heat/*/scripts/{json,platform}.sh \
        image/elements/*/*.d/*
}

python_syntax() {
    "$1" -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]' tests/python/*.py examples/*.py \
        examples/python/*.py tests/nodes/*.py tests/nodes/stand_ins/* scripts/openstack/*.py \
        scripts/openstack/stand_ins/*.py
}

compose_schema() { "$1" -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml >/dev/null; }

templates() { "$1" -c 'import sys, yaml; [yaml.safe_load(open(f)) for f in sys.argv[1:]]' config/heat/*/*.yaml; }

# `unpacked PACKAGE`: prints where the files of a Debian package are. Nothing is installed: cloud-init would act at the
# next start of the machine.
unpacked() {
    local folder=$target_dir/lint-tools/$1
    if [ ! -e "$folder/is-there" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        (
            cd "$folder"
            apt-get download "$1" >/dev/null 2>&1 || { as_root apt-get update -q && apt-get download "$1"; } >&2
            dpkg-deb --extract ./*.deb .
            touch is-there
        )
    fi
    echo "$folder"
}

# What a node gets at its first boot, checked by those who will read it.
user_data() {
    local python=$1 cloud_init ignition distribution role told
    cloud_init=$(unpacked cloud-init)
    ignition=$(unpacked ignition)
    for distribution in ubuntu centos coreos; do
        for role in master agent; do
            told=$target_dir/lint-tools/told/$distribution-$role
            rm -rf "$told"
            mkdir -p "$told"
            "$python" tests/nodes/render.py config/heat "$distribution" "$role" "$(cat tests/nodes/full.json)" "$told"
            if [ "$distribution" = coreos ]; then
                "$ignition/usr/bin/ignition-validate" "$told/user-data"
            else
                PYTHONPATH=$cloud_init/usr/lib/python3/dist-packages "$python" -m cloudinit.cmd.main schema \
                    --config-file "$told/user-data" >&2
            fi || return 1
        done
    done
}

image_elements() {
    local empty
    empty=$(mktemp -d)
    (cd image && PATH=$(dirname "$1"):$PATH ELEMENTS_DIR=elements LIB_DIR=$empty dib-lint >&2)
}

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
check "templates are YAML" templates "$python"
if have apt-get && have dpkg-deb; then
    check "user data of nodes by cloud-init and Ignition" user_data "$python"
else
    say "skipped user data of nodes: this is no Debian, whose packages have cloud-init and Ignition"
fi
check "elements for images" image_elements "$python"
check "docker-compose.yml against the compose specification" compose_schema "$python"

[ ${#failed[@]} -eq 0 ] || die "lint failed" "${failed[@]}"
say "lint: all checks passed"
