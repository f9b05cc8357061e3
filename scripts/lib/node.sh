# shellcheck shell=bash
# Packages of Node below the target directory, made once for each state of their lock file.
# Sourced after common.sh.
# shellcheck disable=SC2154  # Variables of common.sh.

node_usable() { have npm && have node && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; }

node_need() {
    node_usable && return 0
    can_install || die "no Node 18 or later with npm was found" \
        "install one so that \`node\` and \`npm\` are in PATH (on macOS: brew install node)"
    apt_install nodejs npm
    if [ "${CONDUCTOR_SETUP_DRY_RUN:-0}" = 1 ]; then exit 0; fi
    node_usable || die "this system's Node is older than 18" "install a later one by hand"
}

# `node_modules NAME DIR`: installs what DIR's package-lock.json names into target/node/NAME, unless it is there,
# and prints the folder. No package's own scripts are run.
node_modules() {
    local to=$target_dir/node/$1 from=$2 wanted start
    wanted=$(cksum <"$from/package-lock.json")
    lock "node-$1"
    if [ "$(cat "$to/stamp" 2>/dev/null)" = "$wanted" ]; then
        say "node: $to is there"
    else
        start=$(now_ms)
        say "node: installing what ${from#"$root_dir"/} needs into $to ..."
        rm -rf "$to"
        mkdir -p "$to"
        cp "$from/package.json" "$from/package-lock.json" "$to/"
        (cd "$to" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
        echo "$wanted" >"$to/stamp"
        say "node: $to is made ($(since "$start"))"
    fi
    echo "$to/node_modules"
}
