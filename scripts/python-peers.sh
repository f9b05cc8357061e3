#!/usr/bin/env bash
# Makes the virtual environments of tests/python: target/python with the newest release of oslo.messaging, and
# target/python-RELEASE for each of the older ones that the tests call the conductor with. Prints the interpreter of
# the first; the others lie beside it.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/python.sh
source "$root_dir/scripts/lib/python.sh"

releases=(1.8.3 4.5.1 5.35.6 9.5.2 12.13.3 14.0.1)
# Those that name what Python has dropped.
restored=(5.35.6 9.5.2)
peers_dir=$root_dir/tests/python

packages_of() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

# `release_environment RELEASE INTERPRETER PACKAGES`: everything that the release's own requirements do not name
# comes from the packages of the interpreter that was made first. A second copy of them for each release would be
# 90 MB of the same.
release_environment() {
    local release=$1 python=$2 packages=$3 start wanted statement
    local venv=$target_dir/python-$release requirements=$peers_dir/requirements-$release.txt
    local inherited=$packages
    if [[ " ${restored[*]} " == *" $release "* ]]; then
        # A line with `import` is run when the interpreter starts, and cannot be hidden by the sitecustomize that
        # Debian has in its standard library.
        inherited+=$'\n'$peers_dir$'\n''import restored_names'
    fi
    wanted=$({ cat "$peers_dir/requirements.txt" "$peers_dir/requirements-build.txt" "$requirements" &&
        printf '%s' "$inherited"; } | cksum)
    statement="from importlib.metadata import version; assert version('oslo.messaging') == '$release'"
    lock "python-$release"
    [ "$(cat "$venv/stamp" 2>/dev/null)" != "$wanted" ] || ! "$venv/bin/python" -c "$statement" 2>/dev/null || return 0
    start=$(now_ms)
    rm -rf "$venv"
    "$python" -m venv --without-pip "$venv"
    printf '%s\n' "$inherited" >"$(packages_of "$venv/bin/python")/peers.pth"
    export PIP_PYTHON=$venv/bin/python
    if grep -q '^--no-binary' "$requirements"; then
        pinned_packages "$python" --requirement "$peers_dir/requirements-build.txt"
    fi
    pinned_packages "$python" --no-build-isolation --use-pep517 --requirement "$requirements"
    "$venv/bin/python" -W ignore -c "$statement; import oslo_messaging, magnum.common.exception"
    echo "$wanted" >"$venv/stamp"
    say "python: $venv is made ($(since "$start"))"
}

python=$(python_environment python "$peers_dir/requirements.txt" 'import oslo_messaging, magnum.common.exception')
packages=$(packages_of "$python")
makers=()
for release in "${releases[@]}"; do
    release_environment "$release" "$python" "$packages" &
    makers+=($!)
done
for maker in "${makers[@]}"; do
    wait "$maker" || die "a virtual environment of tests/python could not be made"
done
say "python: oslo.messaging ${releases[*]} are beside it"
echo "$python"
