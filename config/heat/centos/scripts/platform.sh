# What is particular to CentOS Stream and its like.
# shellcheck shell=bash

# The distribution's packages of a component. It has no Docker, ZooKeeper, Mesos or Marathon of its own: they
# come from a repository that the image has, or from a URL.
packages_of() {
  case $1 in
    java) echo java-17-openjdk-headless ;;
    stunnel) echo stunnel ;;
    docker) available docker-ce ;;
    *) available "$1" ;;
  esac
}

available() { if dnf --quiet list --available "$1" >/dev/null 2>&1; then echo "$1"; fi; }

install_packages() { dnf --assumeyes --quiet --setopt=install_weak_deps=False install "$@"; }

install_file() { install_packages "$1"; }

# Credentials are checked by a mechanism that is a package of its own.
install_sasl() { install_packages cyrus-sasl-md5; }

# Makes the system believe certificates: trust_ca name <pem
trust_ca() {
  cat >"/etc/pki/ca-trust/source/anchors/$1.pem"
  update-ca-trust
}
