#!/usr/bin/env bash
# Makes what the examples in other languages and others' clients of Marathon need, below the target directory, and
# prints where it is:
# eval "$(scripts/example-peers.sh)"
set -euo pipefail

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/python.sh
source "$root_dir/scripts/lib/python.sh"
# shellcheck source=scripts/lib/node.sh
source "$root_dir/scripts/lib/node.sh"

python=$(python_environment python-pika "$root_dir/examples/python/requirements.txt" 'import msgpack, pika')
node_need
example=$(node_modules example "$root_dir/examples/node")
asyncapi=$(node_modules asyncapi "$root_dir/tests/node")
marathon_python=$(python_environment python-marathon "$root_dir/sandbox/tests/peers/requirements.txt" 'import marathon')
marathon_node=$(node_modules marathon "$root_dir/sandbox/tests/peers")
printf 'export CONDUCTOR_TEST_PIKA_PYTHON=%q\n' "$python"
printf 'export CONDUCTOR_TEST_NODE_PATH=%q\n' "$example:$asyncapi"
printf 'export CONDUCTOR_TEST_MARATHON_PYTHON=%q\n' "$marathon_python"
printf 'export CONDUCTOR_TEST_MARATHON_NODE=%q\n' "$marathon_node"
