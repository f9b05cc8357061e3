# Reading and writing JSON. Fedora CoreOS has no Python, but jq.
# shellcheck shell=bash

# Prints the members of an object, each name and each value with a NUL behind it: json_members file. A list is
# one entry a line, a null is nothing, and what is no text is JSON.
json_members() {
  jq --join-output 'def text: if type == "array" then map(text) | join("\n")
    elif . == null then "" elif type == "string" then . else tojson end;
    to_entries[] | "\(.key)\u0000\(.value | text)\u0000"' "$1"
}

# Prints an object of texts: json_object name value name value...
json_object() {
  # Releases of jq differ over the empty text behind a last separator.
  printf '%s\0' "$@" | jq --raw-input --slurp --compact-output 'rtrimstr("\u0000") | split("\u0000") as $words
    | [range(0; $words | length; 2) | select($words[.] != "")
      | {($words[.]): ($words[. + 1] // "")}] | add // {}'
}

# Prints two objects as one: json_merge object object
json_merge() { printf '%s\n' "$@" | jq --slurp --compact-output '.[0] + .[1]'; }
