# Reading and writing JSON. Whatever cloud-init runs on has Python.
# shellcheck shell=bash

# Prints the value of a member: json_value file name. A list is one entry a line, an object is JSON, none is
# nothing.
json_value() {
  python3 - "$@" <<'PYTHON'
import json, sys
with open(sys.argv[1], encoding="utf-8") as source:
    value = json.load(source).get(sys.argv[2], "")
if isinstance(value, list):
    print("\n".join(map(str, value)))
elif isinstance(value, str):
    print(value)
else:
    print(json.dumps(value))
PYTHON
}

# Prints an object of texts: json_object name value name value...
json_object() { printf '%s\0' "$@" | python3 -c 'import json, sys
words = sys.stdin.read().split("\0")[:-1]
print(json.dumps(dict(zip(words[::2], words[1::2]))))'; }

# Prints two objects as one: json_merge object object
json_merge() { printf '%s\0' "$@" | python3 -c 'import json, sys
one, other = sys.stdin.read().split("\0")[:-1]
print(json.dumps({**json.loads(one), **json.loads(other)}))'; }
