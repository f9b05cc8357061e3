#!/bin/bash
# Sets up a master: ZooKeeper, Mesos master, Marathon. A second run changes nothing.
set -Eeuo pipefail
# shellcheck source=node.sh
. "${0%/*}/node.sh"
trap 'failed "$LINENO" "$BASH_COMMAND"' ERR

configure_zookeeper() {
  local number=0 address own
  own=$(setting ip)
  mkdir -p /etc/zookeeper/conf /var/lib/zookeeper
  {
    printf '%s\n' tickTime=2000 initLimit=10 syncLimit=5 dataDir=/var/lib/zookeeper clientPort=2181 \
      autopurge.snapRetainCount=3 autopurge.purgeInterval=24
    # The number of a server is its place in the list, the same on every master and for as long as its port lives.
    while read -r address; do
      number=$((number + 1))
      echo "server.$number=$address:2888:3888"
      [[ $address != "$own" ]] || echo "$number" >/var/lib/zookeeper/myid
    done < <(setting master_ips)
  } >/etc/zookeeper/conf/zoo.cfg
}

configure_mesos() {
  {
    echo "MESOS_ZK=$(quote "$(zookeeper_url mesos)")"
    echo "MESOS_IP=$(quote "$(setting ip)")"
    echo "MESOS_HOSTNAME=$(quote "$(setting ip)")"
    echo "MESOS_QUORUM=$(quote "$(setting quorum)")"
    echo "MESOS_CLUSTER=$(quote "$(setting cluster_name)")"
    echo "MESOS_WORK_DIR=$(quote /var/lib/mesos-master)"
  } >/etc/mesos-bay/mesos-master.env
  unit mesos-master "$(command -v mesos-master)"
}

configure_marathon() {
  local program=/opt/marathon/bin/marathon
  [[ -x $program ]] || program=$(command -v marathon)
  {
    echo "MESOS=$(quote "$(zookeeper_url mesos)")"
    echo "ZK=$(quote "$(zookeeper_url marathon)")"
    echo "IP=$(quote "$(setting ip)")"
  } >/etc/mesos-bay/marathon.env
  # systemd puts each ${...} in as one word, unread by any shell.
  # shellcheck disable=SC2016
  unit marathon "$program"' --master ${MESOS} --zk ${ZK} --hostname ${IP} --http_port 8080'
}

mkdir -p "$STATE" /var/lib/mesos-master
use_proxy
provide zookeeper /usr/share/zookeeper/bin/zkServer.sh zookeeperd
provide mesos "$(command -v mesos-master || true)" mesos
provide marathon "$(command -v marathon || true)" marathon
configure_zookeeper
configure_mesos
configure_marathon
start zookeeper mesos-master marathon
# Both answer only once a majority of the masters is up.
answers "http://$(setting ip):5050/health"
answers "http://$(setting ip):8080/ping"
report SUCCESS "master $(setting ip) answers"
