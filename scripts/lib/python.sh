# shellcheck shell=bash
# Virtual environments below the target directory, made once for each state of their requirements.
# Sourced after common.sh.
# shellcheck disable=SC2154  # Variables of common.sh.

# oslo.messaging 18.3.1 asks for Python 3.11; Debian ships the making of virtual environments apart (ensurepip).
python_usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if have "$candidate" && python_usable "$candidate"; then
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

# `pinned_packages PYTHON OPTION...`: installs exactly what the requirements name, with that interpreter's pip. Only a
# requirements file that says --no-binary lets a package be built. PIP_PYTHON names another environment to install into.
pinned_packages() {
    "$1" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: "${@:2}" >&2
}

# `python_environment NAME REQUIREMENTS STATEMENT`: makes target/NAME unless it is there, and prints its
# interpreter. The statement must run in it, else it is not done.
python_environment() {
    local venv=$target_dir/$1 requirements=$2 statement=$3 wanted python start
    wanted=$(cksum <"$requirements")
    lock "$1"
    if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
        say "python: $venv is there"
    else
        start=$(now_ms)
        find_python >/dev/null || install_python
        python=$(find_python)
        say "python: installing ${requirements#"$root_dir"/} into $venv ..."
        rm -rf "$venv"
        "$python" -m venv "$venv"
        pinned_packages "$venv/bin/python" --requirement "$requirements"
        "$venv/bin/python" -W ignore -c "$statement"
        echo "$wanted" >"$venv/stamp"
        say "python: $venv is made ($(since "$start"))"
    fi
    echo "$venv/bin/python"
}
