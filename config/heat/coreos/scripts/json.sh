# Reading and writing JSON. Fedora CoreOS has no Python, but jq.
# shellcheck shell=bash

# Prints the value of a member: json_value file name. A list is one entry a line, an object is JSON, none is
# nothing.
json_value() {
  jq --raw-output --compact-output --arg name "$2" \
    '.[$name] // (if .[$name] == false then false else "" end) | if type == "array" then .[] else . end' "$1"
}

# Prints an object of texts: json_object name value name value...
json_object() {
  printf '%s\0' "$@" | jq --raw-input --slurp --compact-output \
    'split("\u0000")[:-1] | [range(0; length - 1; 2) as $i | {(.[$i]): .[$i + 1]}] | add // {}'
}

# Prints two objects as one: json_merge object object
json_merge() { printf '%s\n' "$@" | jq --slurp --compact-output '.[0] + .[1]'; }
