#!/bin/bash
# What masters and agents have in common. Sourced by setup.sh, which has `set -euo pipefail`.

SETTINGS=/etc/mesos-bay/node.json
STATE=/var/lib/mesos-bay

# Prints one setting; a list is printed one entry a line.
setting() {
  python3 - "$SETTINGS" "$1" <<'PYTHON'
import json, sys
with open(sys.argv[1], encoding="utf-8") as settings:
    value = json.load(settings).get(sys.argv[2], "")
print("\n".join(map(str, value)) if isinstance(value, list) else value)
PYTHON
}

# Tells Heat how the set-up ended: report SUCCESS|FAILURE reason
report() {
  local body
  body=$(python3 -c 'import json, sys
print(json.dumps({"status": sys.argv[1], "reason": sys.argv[2], "id": sys.argv[3]}))' "$1" "$2" "$(hostname)")
  # The token goes in by a file: a command line can be read by every user of the node.
  curl --fail --silent --show-error --retry 60 --retry-delay 5 --retry-connrefused --max-time 60 \
    --config <(printf 'header = "X-Auth-Token: %s"\n' "$(setting ready_token)") \
    --header 'Content-Type: application/json' --data "$body" "$(setting ready_url)"
}

# A node that cannot be set up says so at once, rather than let Heat wait for its timeout:
# failed where command
failed() {
  # A subshell's failure is one of its parent too, which knows what it was for.
  ((BASH_SUBSHELL == 0)) || return 0
  report FAILURE "set-up of $(setting role) $(setting ip) failed at $1: $2" || true
}

# Quotes a value for an environment file of systemd.
quote() {
  local value=$1 character
  for character in \\ \" \` \$; do value=${value//"$character"/"\\$character"}; done
  printf '"%s"' "$value"
}

# zk://a:2181,b:2181/path
zookeeper_url() {
  local hosts
  hosts=$(setting master_ips | sed 's/$/:2181/' | paste -sd, -)
  printf 'zk://%s/%s' "$hosts" "$1"
}

# The proxy for this script, for apt and for the services that fetch things.
use_proxy() {
  local http https none file=/etc/mesos-bay/proxy.env
  http=$(setting http_proxy) https=$(setting https_proxy) none=$(setting no_proxy)
  none=${none:+$none,}127.0.0.1,localhost,$(setting ip),$(setting master_ips | paste -sd, -)
  : >"$file"
  if [[ -n $http ]]; then
    export http_proxy=$http
    printf '%s=%s\n' http_proxy "$(quote "$http")" HTTP_PROXY "$(quote "$http")" >>"$file"
  fi
  if [[ -n $https ]]; then
    export https_proxy=$https
    printf '%s=%s\n' https_proxy "$(quote "$https")" HTTPS_PROXY "$(quote "$https")" >>"$file"
  fi
  if [[ -n $http$https ]]; then
    export no_proxy=$none
    printf '%s=%s\n' no_proxy "$(quote "$none")" NO_PROXY "$(quote "$none")" >>"$file"
  fi
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends "$@"
}

# Installs a component unless the image has it: provide name command package...
# With a URL it is fetched, and used only if its checksum is the one given.
provide() {
  local name=$1 command=$2 url sha256 file
  shift 2
  url=$(setting "${name}_package_url") sha256=$(setting "${name}_package_sha256")
  if [[ -z $url ]]; then
    command -v "$command" >/dev/null || apt_install "$@"
    return
  fi
  file=$STATE/${url##*/}
  curl --fail --silent --show-error --location --retry 5 --output "$file" "$url"
  sha256sum --check --quiet <<<"$sha256  $file"
  case $file in
    *.deb) apt_install "$file" ;;
    *.tgz | *.tar.gz)
      mkdir -p "/opt/$name"
      tar -xzf "$file" -C "/opt/$name" --strip-components=1
      ;;
    *)
      echo "$name: neither .deb nor .tgz: $url" >&2
      return 1
      ;;
  esac
}

# Prints where the first of some programs is: program name...
program() {
  local name
  for name; do
    if command -v "$name"; then return; fi
  done
  echo "not installed: $*" >&2
  return 1
}

# Writes a unit of ours over the package's, so that its settings do not depend on who packaged it:
# unit name command [kill mode]
unit() {
  cat >"/etc/systemd/system/$1.service" <<UNIT
[Unit]
Description=$1 of a Mesos bay
After=network-online.target
Wants=network-online.target

[Service]
EnvironmentFile=-/etc/mesos-bay/proxy.env
EnvironmentFile=-/etc/mesos-bay/$1.env
ExecStart=$2
Restart=always
RestartSec=5
LimitNOFILE=65536
KillMode=${3:-control-group}

[Install]
WantedBy=multi-user.target
UNIT
}

start() {
  systemctl daemon-reload
  systemctl enable "$@"
  systemctl restart "$@"
}

# Waits until a service of this node answers: answers url
answers() {
  local deadline=$((SECONDS + 1800))
  until curl --fail --silent --max-time 10 --noproxy '*' --output /dev/null "$1"; do
    if ((SECONDS > deadline)); then
      echo "no answer from $1" >&2
      return 1
    fi
    sleep 5
  done
}
