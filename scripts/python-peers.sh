#!/usr/bin/env bash
# Makes target/python, the virtual environment of tests/python, and prints its interpreter.
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/python.sh
source "$root_dir/scripts/lib/python.sh"

python_environment python "$root_dir/tests/python/requirements.txt" \
    'import oslo_messaging, magnum.common.exception'
