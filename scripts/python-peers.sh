#!/usr/bin/env bash
# Makes target/python, the virtual environment of tests/python, and prints its interpreter.
# Done once: a stamp remembers what was installed, and a changed requirements.txt makes it anew.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

requirements=$root_dir/tests/python/requirements.txt
venv=$target_dir/python

# oslo.messaging 18.3.1 asks for Python 3.11; Debian ships the making of virtual environments apart (ensurepip).
usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if have "$candidate" && usable "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

install_python() {
    can_install || die "no Python 3.11 or later with venv and ensurepip was found" \
        "install one so that \`python3 -m venv\` works (on macOS: brew install python@3.12)"
    apt_install python3 python3-venv
    if [ "${CONDUCTOR_SETUP_DRY_RUN:-0}" = 1 ]; then exit 0; fi
    find_python >/dev/null || die "this system's python3 is older than 3.11" "install a later one by hand"
}

make_environment() {
    local python start
    start=$(now_ms)
    python=$(find_python) || { install_python && python=$(find_python); }
    say "python: installing oslo.messaging and what goes with it into $venv ..."
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        --only-binary :all: --requirement "$requirements" >&2
    "$venv/bin/python" -W ignore -c 'import oslo_messaging, magnum.common.exception'
    wanted >"$venv/stamp"
    say "python: ready ($(since "$start"))"
}

wanted() { cksum <"$requirements"; }

lock python
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/stamp" 2>/dev/null)" = "$(wanted)" ] &&
    "$venv/bin/python" -c '' 2>/dev/null; then
    say "python: already there, $venv"
else
    make_environment
fi
echo "$venv/bin/python"
