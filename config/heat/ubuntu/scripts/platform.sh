# What is particular to Ubuntu.
# shellcheck shell=bash

# The distribution's packages of a component. Mesos and Marathon come only from a repository that the image
# has.
packages_of() {
  case $1 in
    java) echo default-jre-headless ;;
    zookeeper) echo zookeeper ;;
    docker) echo docker.io ;;
    stunnel) echo stunnel4 ;;
    *) apt-cache pkgnames "$1" | grep -x "$1" || true ;;
  esac
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends "$@"
}

install_file() { install_packages "$1"; }

# Credentials are checked by a mechanism that is a package of its own.
install_sasl() { install_packages libsasl2-modules; }

# Makes the system believe certificates: trust_ca name <pem
trust_ca() {
  cat >"/usr/local/share/ca-certificates/$1.crt"
  update-ca-certificates
}
