# What masters and agents have in common. Sourced by setup.sh, which has `set -Eeuo pipefail` and says where
# they are: BAY.
# shellcheck shell=bash

STATE=/var/lib/mesos-bay
UNITS=/etc/systemd/system
# Where an archive is unpacked stands before what the system has.
PATH=/opt/zookeeper/bin:/opt/mesos/sbin:/opt/mesos/bin:/opt/marathon/bin:/opt/java/bin:/opt/docker:$PATH
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/share/zookeeper/bin
export PATH
reason=""

# shellcheck source-path=SCRIPTDIR source=json.sh
. "$BAY/json.sh"
# shellcheck source-path=SCRIPTDIR source=../../ubuntu/scripts/platform.sh
. "$BAY/platform.sh"
# shellcheck source-path=SCRIPTDIR source=tls.sh
. "$BAY/tls.sh"

# Prints one setting; a list is printed one entry a line.
setting() { json_value "$BAY/node.json" "$1"; }

# Ends the set-up with a reason of our own: refuse reason
refuse() {
  reason=$1
  echo "$reason" >&2
  return 1
}

# Quotes a value for a configuration file of curl.
curl_word() {
  local value=${1//\\/\\\\}
  printf '"%s"' "${value//\"/\\\"}"
}

# Tells Heat how the set-up ended: report SUCCESS|FAILURE reason
report() {
  local body options=()
  [[ $(setting verify_ca) != false ]] || options+=(--insecure)
  body=$(json_object status "$1" reason "$2" id "$(uname -n)")
  # The token goes in by a file: a command line can be read by every user of the node.
  curl --fail --silent --show-error --retry 60 --retry-delay 5 --retry-connrefused --max-time 60 \
    "${options[@]}" \
    --config <(printf 'header = %s\n' "$(curl_word "X-Auth-Token: $(setting ready_token)")") \
    --header 'Content-Type: application/json' --data "$body" "$(setting ready_url)"
}

# A node that cannot be set up says so at once, rather than let Heat wait for its timeout:
# failed where command
failed() {
  # A subshell's failure is one of its parent too, which knows what it was for.
  ((BASH_SUBSHELL == 0)) || return 0
  report FAILURE "set-up of $(setting role) $(setting ip) failed at $1: ${reason:-$2}" || true
}

# Quotes a value for an environment file of systemd.
quote() {
  local value=$1 character
  for character in \\ \" \` \$; do value=${value//"$character"/"\\$character"}; done
  printf '"%s"' "$value"
}

# Writes a file that only its owner reads: private file <text
private() {
  install -m 0600 /dev/null "$1"
  cat >"$1"
}

# Writes lines of NAME="value" for systemd: variables name value name value...
variables() {
  while (($# > 1)); do
    printf '%s=%s\n' "$1" "$(quote "$2")"
    shift 2
  done
}

# zk://a:2181,b:2181/path. With TLS it is this node's tunnel that is connected to, and a name and a password
# say whose data it is.
zookeeper_url() {
  local hosts
  if with_tls; then
    printf 'zk://mesos:%s@127.0.0.1:2181/%s' "$(setting zookeeper_password)" "$1"
    return
  fi
  hosts=$(setting master_ips | sed 's/$/:2181/' | paste -sd, -)
  printf 'zk://%s/%s' "$hosts" "$1"
}

# The proxy for this script, for packages and for the services that fetch things.
use_proxy() {
  local http https none
  http=$(setting http_proxy) https=$(setting https_proxy) none=$(setting no_proxy)
  none=${none:+$none,}127.0.0.1,localhost,169.254.169.254,$(setting ip),$(setting master_ips | paste -sd, -)
  # Tasks find each other by addresses of the bay's network; curl before 7.86 overlooks a range.
  none=$none,$(setting cidr)
  if [[ -n $http ]]; then export http_proxy=$http HTTP_PROXY=$http; fi
  if [[ -n $https ]]; then export https_proxy=$https HTTPS_PROXY=$https; fi
  if [[ -n $http$https ]]; then export no_proxy=${none%,} NO_PROXY=${none%,}; fi
  local name
  for name in http_proxy HTTP_PROXY https_proxy HTTPS_PROXY no_proxy NO_PROXY; do
    [[ -z ${!name:-} ]] || variables "$name" "${!name}"
  done | private "$BAY/proxy.env"
}

# Java reads no http_proxy: prints the options that say the same.
java_proxy() {
  local scheme url
  for scheme in http https; do
    url=$(setting "${scheme}_proxy")
    [[ $url =~ ^[a-z]+://([^@/]*@)?([^:/]+)(:([0-9]+))? ]] || continue
    printf ' -D%s.proxyHost=%s' "$scheme" "${BASH_REMATCH[2]}"
    [[ -z ${BASH_REMATCH[4]} ]] || printf ' -D%s.proxyPort=%s' "$scheme" "${BASH_REMATCH[4]}"
  done
  [[ -z ${no_proxy:-} ]] || printf ' -Dhttp.nonProxyHosts=%s' "${no_proxy//,/|}"
}

# Certificates that the system is to believe, among others Heat's own.
trust_openstack() {
  local certificates
  certificates=$(setting openstack_ca)
  [[ -n $certificates ]] || return 0
  trust_ca mesos-bay-openstack <<<"$certificates"
}

# Installs a component unless it is there: provide name program. With a URL it is fetched, and used only if its
# checksum is the one given; else the distribution is asked for it.
provide() {
  local name=$1 program=$2 url sha256 file packages
  url=$(setting "${name}_package_url") sha256=$(setting "${name}_package_sha256")
  if [[ -z $url ]]; then
    ! command -v "$program" >/dev/null || return 0
    packages=$(packages_of "$name")
    [[ -n $packages ]] || refuse "neither the image nor its distribution has $name: set ${name}_package_url"
    # shellcheck disable=SC2086 # a list of names
    install_packages $packages
    return
  fi
  file=$STATE/${url##*/}
  curl --fail --silent --show-error --location --retry 5 --output "$file" "$url" ||
    refuse "$name cannot be fetched from $url"
  sha256sum --check --status <<<"$sha256  $file" || refuse "the SHA-256 of $url is not $sha256"
  case $file in
    *.deb | *.rpm) install_file "$file" ;;
    *.tgz | *.tar.gz)
      mkdir -p "/opt/$name"
      tar -xzf "$file" -C "/opt/$name" --strip-components=1
      # What systemd may run is told by labels where SELinux is in force.
      ! command -v restorecon >/dev/null || restorecon -R "/opt/$name"
      ;;
    *) refuse "$name: neither .deb nor .rpm nor .tgz: $url" ;;
  esac
  command -v "$program" >/dev/null || refuse "$url has no $program"
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
# unit name command [setting=value...]
unit() {
  local name=$1 command=$2
  shift 2
  {
    printf '%s\n' '[Unit]' "Description=$name of a Mesos bay" After=network-online.target \
      Wants=network-online.target '' '[Service]' "Environment=PATH=$PATH" \
      "EnvironmentFile=-$BAY/proxy.env" "EnvironmentFile=-$BAY/$name.env" \
      "ExecStart=$command" Restart=always RestartSec=5 LimitNOFILE=65536 "$@" '' '[Install]' \
      WantedBy=multi-user.target
  } >"$UNITS/$name.service"
}

start() {
  systemctl daemon-reload
  systemctl enable "$@"
  systemctl restart "$@"
}

# Waits until a service of this node answers: answers port path [user password]
answers() {
  local port=$1 path=$2 deadline=$((SECONDS + 1800)) url options=()
  url=http://$(setting ip):$port$path
  if with_tls; then
    url=https://$(setting node_name):$port$path
    options+=(--cacert "$TLS/ca.pem" --resolve "$(setting node_name):$port:$(setting ip)")
  fi
  until curl --fail --silent --max-time 10 --noproxy '*' --output /dev/null "${options[@]}" \
    --config <([[ -z ${3:-} ]] || printf 'user = %s\n' "$(curl_word "$3:$4")") "$url"; do
    ((SECONDS < deadline)) || refuse "no answer from $url"
    sleep 5
  done
}
