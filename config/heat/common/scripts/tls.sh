# TLS and authentication of a node, where the bay has them.
# shellcheck shell=bash

TLS=$BAY/tls

with_tls() { [[ $(setting tls_enabled) == true ]]; }

# The certificate and key of the bay's nodes, in the forms that the services read. Of a bay whose authority was
# replaced there are several authorities, and behind the certificate those on the way to the older ones.
configure_tls() {
  local name address
  with_tls || return 0
  name=$(setting node_name)
  mkdir -p "$TLS"
  setting ca_certificate >"$TLS/ca.pem"
  setting node_certificate >"$TLS/certificate.pem"
  setting node_key | private "$TLS/key.pem"
  # Mesos asks the system which name an address has, and wants that name in the certificate.
  for address in $(setting master_ips) $(setting ip); do
    grep -qxF "$address $name" /etc/hosts || echo "$address $name" >>/etc/hosts
  done
}

# TLS of libprocess, for Mesos and for whatever talks to it: libprocess_tls true|false, whether the name of a
# server must be in its certificate. Mesos sends the whole chain, and by itself would not take one that is long.
libprocess_tls() {
  with_tls || return 0
  variables LIBPROCESS_SSL_ENABLED true LIBPROCESS_SSL_SUPPORT_DOWNGRADE false \
    LIBPROCESS_SSL_KEY_FILE "$TLS/key.pem" LIBPROCESS_SSL_CERT_FILE "$TLS/certificate.pem" \
    LIBPROCESS_SSL_CA_FILE "$TLS/ca.pem" LIBPROCESS_SSL_VERIFY_CERT "$1" \
    LIBPROCESS_SSL_REQUIRE_CERT false LIBPROCESS_SSL_HOSTNAME_VALIDATION_SCHEME legacy \
    LIBPROCESS_SSL_VERIFICATION_DEPTH 10
}

# Who may call the HTTP interfaces of Mesos, and, on a master, register as an agent or a framework.
configure_credentials() {
  local credential
  with_tls || return 0
  install_sasl
  credential=$(json_object principal "$(setting mesos_principal)" secret "$(setting mesos_secret)")
  private "$BAY/credential.json" <<<"$credential"
  private "$BAY/credentials.json" <<<"{\"credentials\": [$credential]}"
}

# ZooKeeper's clients in Mesos and Marathon speak no TLS: a tunnel of this node does it for them.
configure_tunnel() {
  local address
  with_tls || return 0
  command -v stunnel >/dev/null || install_packages "$(packages_of stunnel)"
  {
    printf '%s\n' 'foreground = yes' 'syslog = no' 'pid =' \
      '[zookeeper]' 'client = yes' 'accept = 127.0.0.1:2181'
    for address in $(setting master_ips); do echo "connect = $address:2281"; done
    printf '%s\n' 'failover = rr' 'delay = no' 'TIMEOUTconnect = 5' \
      "CAfile = $TLS/ca.pem" 'verifyChain = yes' "checkHost = $(setting node_name)" 'sslVersionMin = TLSv1.2'
  } >"$BAY/stunnel.conf"
  unit mesos-bay-tunnel "$(program stunnel) $BAY/stunnel.conf"
}
