# Reading and writing JSON. Whatever cloud-init runs on has Python.
# shellcheck shell=bash

# Prints the members of an object, each name and each value with a NUL behind it: json_members file. A list is
# one entry a line, a null is nothing, and what is no text is JSON.
json_members() {
  python3 - "$1" <<'PYTHON'
import json, sys
def text(value):
    if isinstance(value, list):
        return "\n".join(map(text, value))
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
with open(sys.argv[1], encoding="utf-8") as source:
    for name, value in json.load(source).items():
        print(name, text(value), sep="\0", end="\0")
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
