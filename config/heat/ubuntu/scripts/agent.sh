#!/bin/bash
# Sets up an agent: Docker and the Mesos agent. A second run changes nothing.
set -Eeuo pipefail
# shellcheck source-path=SCRIPTDIR source=node.sh
. "${0%/*}/node.sh"
trap 'failed "${BASH_SOURCE[0]##*/} line $LINENO" "$BASH_COMMAND"' ERR

configure_docker() {
  local drop_in=/etc/systemd/system/docker.service.d
  mkdir -p "$drop_in"
  printf '[Service]\nEnvironmentFile=-/etc/mesos-bay/proxy.env\n' >"$drop_in/proxy.conf"
}

configure_mesos() {
  local agent isolation image_providers executor_environment
  # Releases before 1.0 know the agent by the older name only.
  agent=$(program mesos-agent mesos-slave)
  isolation=$(setting isolation) image_providers=$(setting image_providers)
  executor_environment=$(setting executor_environment)
  {
    echo "MESOS_MASTER=$(quote "$(zookeeper_url mesos)")"
    echo "MESOS_IP=$(quote "$(setting ip)")"
    echo "MESOS_HOSTNAME=$(quote "$(setting ip)")"
    echo 'MESOS_CONTAINERIZERS="docker,mesos"'
    echo "MESOS_EXECUTOR_REGISTRATION_TIMEOUT=$(quote "$(setting executor_registration_timeout)")"
    echo "MESOS_WORK_DIR=$(quote "$(setting work_dir)")"
    [[ -z $isolation ]] || echo "MESOS_ISOLATION=$(quote "$isolation")"
    [[ -z $image_providers ]] || echo "MESOS_IMAGE_PROVIDERS=$(quote "$image_providers")"
    if [[ -n $executor_environment ]]; then
      printf '%s' "$executor_environment" >/etc/mesos-bay/executor-environment.json
      echo 'MESOS_EXECUTOR_ENVIRONMENT_VARIABLES="file:///etc/mesos-bay/executor-environment.json"'
    fi
  } >/etc/mesos-bay/mesos-slave.env
  # Executors outlive a restart of their agent, which finds them again.
  unit mesos-slave "$agent" process
}

mkdir -p "$STATE" "$(setting work_dir)"
use_proxy
provide mesos mesos-master mesos
command -v dockerd >/dev/null || apt_install docker.io
configure_docker
configure_mesos
start docker mesos-slave
answers "http://$(setting ip):5051/health"
report SUCCESS "agent $(setting ip) answers"
