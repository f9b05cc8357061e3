#!/usr/bin/env bash
# Usage: amqp-probe.sh HOST PORT USER PASSWORD
# Succeeds when an AMQP 0-9-1 broker answers there and lets us in. Needs nothing but bash and coreutils, so that
# it works before any client is installed. It may hang on a silent peer: callers set the time limit.
set -euo pipefail

# Reads N bytes of the open connection (descriptor 8) as hexadecimal.
read_hex() { head -c "$1" <&8 | od -An -v -tx1 | tr -d ' \n'; }

# Reads one frame and prints its class and method, such as "000a000a" (connection.start).
read_method() {
    local header payload
    header=$(read_hex 7)
    [ "${#header}" -eq 14 ] && [ "${header:0:2}" = 01 ] || return 1
    payload=$(read_hex $((16#${header:6:8} + 1)))
    echo "${payload:0:8}"
}

# Prints a number as N bytes, in the escapes that `printf %b` understands.
bytes_of() {
    local hex i
    hex=$(printf "%0$(($2 * 2))x" "$1")
    for ((i = 0; i < ${#hex}; i += 2)); do printf '\\x%s' "${hex:i:2}"; done
}

host=$1 port=$2 user=$3 password=$4
exec 8<>"/dev/tcp/$host/$port"
printf 'AMQP\x00\x00\x09\x01' >&8
[ "$(read_method)" = 000a000a ]

# connection.start-ok: no client properties, mechanism PLAIN, its response, a locale.
secret=$((${#user} + ${#password} + 2))
method="\\x00\\x0a\\x00\\x0b\\x00\\x00\\x00\\x00\\x05PLAIN$(bytes_of "$secret" 4)"
method="$method\\x00$user\\x00$password\\x05en_US"
size=$((4 + 4 + 6 + 4 + secret + 6))
printf '%b' "\\x01\\x00\\x00$(bytes_of "$size" 4)$method\\xce" >&8

# connection.tune says that we are in; a refused login gets a close, or silence.
[ "$(read_method)" = 000a001e ]
