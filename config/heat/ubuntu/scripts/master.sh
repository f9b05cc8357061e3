#!/bin/bash
# Sets up a master: ZooKeeper, Mesos master, Marathon. A second run changes nothing.
set -Eeuo pipefail
# shellcheck source-path=SCRIPTDIR source=node.sh
. "${0%/*}/node.sh"
trap 'failed "${BASH_SOURCE[0]##*/} line $LINENO" "$BASH_COMMAND"' ERR

configure_zookeeper() {
  local number=0 address own
  own=$(setting ip)
  mkdir -p /etc/zookeeper/conf /var/lib/zookeeper
  {
    printf '%s\n' tickTime=2000 initLimit=10 syncLimit=5 dataDir=/var/lib/zookeeper clientPort=2181 \
      autopurge.snapRetainCount=3 autopurge.purgeInterval=24
    # The number of a server is its place in the list, the same on every master and for as long as its port
    # lives.
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
  unit mesos-master "$(program mesos-master)"
}

configure_marathon() {
  local marathon
  marathon=$(program /opt/marathon/bin/marathon marathon)
  {
    echo "MESOS=$(quote "$(zookeeper_url mesos)")"
    echo "ZK=$(quote "$(zookeeper_url marathon)")"
    echo "IP=$(quote "$(setting ip)")"
  } >/etc/mesos-bay/marathon.env
  # systemd puts each ${...} in as one word, unread by any shell.
  # shellcheck disable=SC2016
  unit marathon "$marathon"' --master ${MESOS} --zk ${ZK} --hostname ${IP} --http_port 8080'
}

mkdir -p "$STATE" /var/lib/mesos-master
use_proxy
provide zookeeper /usr/share/zookeeper/bin/zkServer.sh zookeeperd
provide mesos mesos-master mesos
provide marathon marathon marathon
configure_zookeeper
configure_mesos
configure_marathon
start zookeeper mesos-master marathon
# Both answer so only once a leader is known, and electing one takes a majority of the masters.
answers "http://$(setting ip):5050/redirect"
answers "http://$(setting ip):8080/v2/leader"
report SUCCESS "master $(setting ip) answers"
