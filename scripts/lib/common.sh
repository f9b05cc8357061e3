# shellcheck shell=bash
# What every script here needs: where things are, one-line progress with times, and installation of packages.
# Sourced, never run.

root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$root_dir/target}
case $target_dir in
    /*) ;;
    *) target_dir=$root_dir/$target_dir ;;
esac
# shellcheck disable=SC2034  # Of those that source this.
services_dir=$target_dir/services

# Messages go to stderr: the stdout of several commands is read by `eval` or `$(...)`.
say() { printf '%s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then
        printf '       %s\n' "$@" >&2
    fi
    exit 1
}

now_ms() {
    local ns
    ns=$(date +%s%N)
    case $ns in
        *N) echo $(($(date +%s) * 1000)) ;; # A `date` without nanoseconds (not GNU).
        *) echo $((ns / 1000000)) ;;
    esac
}

# `since START_MS` prints the time passed, as "1.3 s".
since() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

have() { command -v "$1" >/dev/null 2>&1; }

# `wait_until SECONDS COMMAND...`: polls until the command succeeds; false when the time is up.
wait_until() {
    local deadline=$(($(now_ms) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(now_ms)" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# Runs a command as root: as it is when we are root, through sudo otherwise.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

can_install() {
    have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }
}

# Debian starts a service as soon as its package is installed. We run private instances only, so while we
# install, a policy says no; one that the machine's owner put there is left alone.
forbid_autostart() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
    policy_is_ours=yes
}

allow_autostart() {
    [ "${policy_is_ours:-no}" = yes ] || return 0
    as_root rm -f /usr/sbin/policy-rc.d
    policy_is_ours=no
}

# `apt_install PACKAGE...`. With CONDUCTOR_SETUP_DRY_RUN=1 it only says what it would do.
apt_install() {
    local start log
    start=$(now_ms)
    if [ "${CONDUCTOR_SETUP_DRY_RUN:-0}" = 1 ]; then
        say "would run: apt-get update && apt-get install -y --no-install-recommends $*"
        return 0
    fi
    say "installing $* with apt-get ..."
    mkdir -p "$target_dir"
    log=$target_dir/apt.log
    trap allow_autostart EXIT
    forbid_autostart
    # A machine that is still booting may hold dpkg's lock: wait for it rather than fail.
    if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get \
        -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        die "apt-get could not install: $*" "its whole output is in $log"
    fi
    allow_autostart
    say "installed $* ($(since "$start"))"
}

# `lock NAME`, until the script ends: two callers at once (two test runs, say) must not do the same work twice.
lock() {
    mkdir -p "$target_dir"
    if have flock; then
        exec 9>"$target_dir/.$1.lock"
        flock -w 600 9 || die "another process has held $target_dir/.$1.lock for 10 minutes"
    fi
}

# What a build needs besides Rust: a C compiler (for SQLite and ring) and its linker.
need_rust() {
    # rustup's default place, which a shell that was open when Rust was installed does not know.
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
        export PATH
    fi
    have cargo || die "cargo was not found" "install Rust with rustup (rust-toolchain.toml then picks the release)"
    if ! have cc; then
        can_install || die "no C compiler was found" "install one (on macOS: xcode-select --install)"
        apt_install gcc libc6-dev
    fi
}

docker_works() { have docker && docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; }
