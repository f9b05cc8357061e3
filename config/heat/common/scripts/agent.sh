#!/bin/bash
# Sets up an agent: Docker and the Mesos agent. A second run changes nothing.
set -Eeuo pipefail
BAY=${0%/*}
# shellcheck source-path=SCRIPTDIR source=node.sh
. "$BAY/node.sh"
trap 'failed "${BASH_SOURCE[0]##*/} line $LINENO" "$BASH_COMMAND"' ERR

configure_docker() {
  # An archive brings no unit.
  [[ ! -x /opt/docker/dockerd ]] || unit docker /opt/docker/dockerd Delegate=yes KillMode=process
  mkdir -p "$UNITS/docker.service.d"
  printf '[Service]\nEnvironmentFile=-%s/proxy.env\n' "$BAY" >"$UNITS/docker.service.d/proxy.conf"
}

# What executors get: the variables asked for, and with TLS those they need to speak to the agent.
executor_environment() {
  local given tls
  given=$(setting executor_environment) tls=$(libprocess_tls true | sed 's/="/\n/; s/"$//')
  # shellcheck disable=SC2086 # names and paths of ours, none with a blank
  json_merge "$(json_object $tls)" "${given:-"{}"}"
}

configure_mesos() {
  local agent isolation image_providers environment
  # Releases before 1.0 know the agent by the older name only.
  agent=$(program mesos-agent mesos-slave)
  isolation=$(setting isolation) image_providers=$(setting image_providers)
  environment=$(executor_environment)
  {
    variables MESOS_MASTER "file://$BAY/zk" MESOS_IP "$(setting ip)" \
      MESOS_HOSTNAME "$(setting ip)" MESOS_CONTAINERIZERS docker,mesos MESOS_WORK_DIR "$(setting work_dir)" \
      MESOS_EXECUTOR_REGISTRATION_TIMEOUT "$(setting executor_registration_timeout)"
    [[ -z $isolation ]] || variables MESOS_ISOLATION "$isolation"
    [[ -z $image_providers ]] || variables MESOS_IMAGE_PROVIDERS "$image_providers"
    if [[ $environment != "{}" ]]; then
      private "$BAY/executor-environment.json" <<<"$environment"
      variables MESOS_EXECUTOR_ENVIRONMENT_VARIABLES "file://$BAY/executor-environment.json"
    fi
    if with_tls; then
      variables MESOS_CREDENTIAL "file://$BAY/credential.json" \
        MESOS_HTTP_CREDENTIALS "file://$BAY/credentials.json" \
        MESOS_AUTHENTICATE_HTTP_READONLY true MESOS_AUTHENTICATE_HTTP_READWRITE true
    fi
    libprocess_tls true
  } | private "$BAY/mesos-slave.env"
  # In a file, since Mesos writes its options to its log.
  zookeeper_url mesos | private "$BAY/zk"
  # Executors outlive a restart of their agent, which finds them again.
  unit mesos-slave "$agent" KillMode=process
}

umask 022
mkdir -p "$STATE" "$(setting work_dir)"
use_proxy
trust_openstack
configure_tls
configure_credentials
provide mesos mesos-master
provide docker dockerd
configure_tunnel
configure_docker
configure_mesos
if with_tls; then start mesos-bay-tunnel; fi
start docker mesos-slave
answers 5051 /health
report SUCCESS "agent $(setting ip) answers"
