#!/bin/bash
# Sets up a master: ZooKeeper, Mesos master, Marathon. A second run changes nothing.
set -Eeuo pipefail
BAY=${0%/*}
# shellcheck source-path=SCRIPTDIR source=node.sh
. "$BAY/node.sh"
trap 'failed "${BASH_SOURCE[0]##*/} line $LINENO" "$BASH_COMMAND"' ERR

# TLS among the servers came with 3.5.5; an older one would listen without it.
zookeeper_speaks_tls() {
  local version
  version=$("$1" version 2>/dev/null | sed -n 's/.*version:* \([0-9.]*\).*/\1/p' | head -n 1)
  [[ -n $version && $(printf '%s\n' 3.5.5 "$version" | sort -V | head -n 1) == 3.5.5 ]] ||
    refuse "ZooKeeper ${version:-of unknown release} has no TLS, 3.5.5 has: set zookeeper_package_url"
}

zookeeper_tls() {
  cat "$TLS/key.pem" "$TLS/certificate.pem" | private "$BAY/zookeeper.pem"
  chown zookeeper: "$BAY/zookeeper.pem"
  # The certificate is that of all nodes and names none of them: servers prove that they belong to the bay.
  # Clients are not asked for it: they would all be one user by it, a task behind a node's tunnel too, and the
  # password, which protects the data, would say nothing more.
  printf '%s\n' secureClientPort=2281 "secureClientPortAddress=$1" \
    serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory sslQuorum=true \
    ssl.clientAuth=none ssl.quorum.clientAuth=need ssl.quorum.hostnameVerification=false \
    "ssl.keyStore.location=$BAY/zookeeper.pem" "ssl.trustStore.location=$TLS/ca.pem" \
    "ssl.quorum.keyStore.location=$BAY/zookeeper.pem" "ssl.quorum.trustStore.location=$TLS/ca.pem"
}

configure_zookeeper() {
  local number=0 address own data=/var/lib/zookeeper libraries=/usr/share/java flags="" server
  own=$(setting ip) server=$(program zkServer.sh)
  id zookeeper >/dev/null 2>&1 || useradd --system --home-dir "$data" --shell /sbin/nologin zookeeper
  mkdir -p "$data"
  {
    # Its own page of administration would take Marathon's port.
    printf '%s\n' tickTime=2000 initLimit=10 syncLimit=5 "dataDir=$data" admin.enableServer=false \
      autopurge.snapRetainCount=3 autopurge.purgeInterval=24
    # The number of a server is its place in the list, the same on every master and for as long as its port
    # lives.
    while read -r address; do
      number=$((number + 1))
      echo "server.$number=$address:2888:3888"
      [[ $address != "$own" ]] || echo "$number" >"$data/myid"
    done < <(setting master_ips)
    if with_tls; then zookeeper_tls "$own"; else echo clientPort=2181; fi
  } >"$BAY/zoo.cfg"
  if with_tls; then zookeeper_speaks_tls "$server"; fi
  chown -R zookeeper: "$data"
  # The package of Debian and Ubuntu has no log, and forgets a library without which its TLS fails unheard.
  if [[ $server == /usr/share/zookeeper/* ]]; then
    flags="-cp $libraries/zookeeper.jar:$libraries/netty-codec.jar:$libraries/slf4j-simple.jar"
  fi
  variables ZOO_LOG_DIR "$data" ZOO_LOG4J_PROP INFO,CONSOLE JMXDISABLE true \
    JVMFLAGS "$flags" >"$BAY/zookeeper.env"
  unit zookeeper "$server start-foreground $BAY/zoo.cfg" User=zookeeper
}

configure_mesos() {
  {
    variables MESOS_IP "$(setting ip)" MESOS_HOSTNAME "$(setting ip)" MESOS_QUORUM "$(setting quorum)" \
      MESOS_CLUSTER "$(setting cluster_name)" MESOS_WORK_DIR /var/lib/mesos-master MESOS_ZK "file://$BAY/zk"
    if with_tls; then
      variables MESOS_AUTHENTICATE_AGENTS true MESOS_AUTHENTICATE_FRAMEWORKS true \
        MESOS_AUTHENTICATE_HTTP_FRAMEWORKS true MESOS_HTTP_FRAMEWORK_AUTHENTICATORS basic \
        MESOS_AUTHENTICATE_HTTP_READONLY true MESOS_AUTHENTICATE_HTTP_READWRITE true \
        MESOS_CREDENTIALS "file://$BAY/credentials.json"
    fi
    # A master knows its agents by address only, and the certificate by name only.
    libprocess_tls false
  } | private "$BAY/mesos-master.env"
  # In a file, since Mesos writes its options to its log.
  zookeeper_url mesos | private "$BAY/zk"
  unit mesos-master "$(program mesos-master)"
}

# Marathon has one store for what it serves with and, as it asks the leader, for whom it trusts:
# marathon_store password. Not PKCS #12, from which Java takes a chain by names: an authority and its certificate
# by an older one have the same.
marathon_store() (
  store=$BAY/marathon.jks between=$BAY/marathon.p12 authority="" number=0
  export STORE_PASSWORD=$1
  umask 077
  rm -f "$store"
  openssl pkcs12 -export -name marathon -in "$TLS/certificate.pem" -inkey "$TLS/key.pem" \
    -passout env:STORE_PASSWORD -out "$between"
  keytool -importkeystore -noprompt -srckeystore "$between" -srcstoretype PKCS12 \
    -srcstorepass:env STORE_PASSWORD -destkeystore "$store" -deststoretype JKS \
    -deststorepass:env STORE_PASSWORD
  rm "$between"
  while IFS= read -r line; do
    authority+=$line$'\n'
    [[ $line == *"END CERTIFICATE"* ]] || continue
    number=$((number + 1))
    keytool -importcert -noprompt -alias "authority-$number" -keystore "$store" -storetype JKS \
      -storepass:env STORE_PASSWORD <<<"$authority"
    authority=""
  done <"$TLS/ca.pem"
)

# Marathon reads options from variables too; what is secret must not stand on a command line.
marathon_tls() {
  local password
  # Of its own, since Marathon has it in its variables, and the same again in a second run.
  password=$(sha256sum <"$TLS/key.pem" | cut -d ' ' -f 1)
  marathon_store "$password" >&2
  setting mesos_secret | tr -d '\n' | private "$BAY/mesos-secret"
  variables MARATHON_DISABLE_HTTP "" MARATHON_HTTPS_PORT 8443 MARATHON_LEADER_PROXY_SSL_IGNORE_HOSTNAME "" \
    MESOSPHERE_KEYSTORE_PATH "$BAY/marathon.jks" MESOSPHERE_KEYSTORE_PASS "$password" \
    MESOSPHERE_HTTP_CREDENTIALS "$(setting marathon_username):$(setting marathon_password)" \
    MARATHON_MESOS_AUTHENTICATION "" MARATHON_MESOS_AUTHENTICATION_PRINCIPAL "$(setting mesos_principal)" \
    MARATHON_MESOS_AUTHENTICATION_SECRET_FILE "$BAY/mesos-secret"
  libprocess_tls true
}

configure_marathon() {
  local library
  {
    variables MARATHON_MASTER "$(zookeeper_url mesos)" MARATHON_ZK "$(zookeeper_url marathon)" \
      MARATHON_HOSTNAME "$(setting ip)" LIBPROCESS_IP "$(setting ip)" JAVA_OPTS "-Xmx512m$(java_proxy)"
    for library in /opt/mesos/lib/libmesos.so /usr/local/lib/libmesos.so /usr/lib/libmesos.so; do
      if [[ -e $library ]]; then
        variables MESOS_NATIVE_JAVA_LIBRARY "$library"
        break
      fi
    done
    if with_tls; then marathon_tls; else variables MARATHON_HTTP_PORT 8080; fi
  } | private "$BAY/marathon.env"
  unit marathon "$(program marathon)"
}

umask 022
mkdir -p "$STATE" /var/lib/mesos-master
use_proxy
trust_openstack
configure_tls
configure_credentials
provide java java
provide zookeeper zkServer.sh
provide mesos mesos-master
provide marathon marathon
configure_tunnel
configure_zookeeper
configure_mesos
configure_marathon
start zookeeper mesos-master marathon
if with_tls; then start mesos-bay-tunnel; fi
# Both answer so only once a leader is known, and electing one takes a majority of the masters.
answers 5050 /redirect
if with_tls; then
  answers 8443 /v2/leader "$(setting marathon_username)" "$(setting marathon_password)"
else
  answers 8080 /v2/leader
fi
report SUCCESS "master $(setting ip) answers"
