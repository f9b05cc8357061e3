# What is particular to Fedora CoreOS.
# shellcheck shell=bash

# Packages of Fedora are laid over the system. It has Docker; ZooKeeper, Mesos and Marathon are in no
# repository of Fedora, and come as archives.
packages_of() {
  case $1 in
    java) echo java-21-openjdk-headless ;;
    stunnel) echo stunnel ;;
    docker) echo moby-engine ;;
    *) ;;
  esac
}

install_packages() { rpm-ostree install --idempotent --allow-inactive --apply-live --assumeyes "$@"; }

install_file() { install_packages "$1"; }

# Credentials are checked by a mechanism that is a package of its own.
install_sasl() { install_packages cyrus-sasl-md5; }

# Makes the system believe certificates: trust_ca name <pem
trust_ca() {
  cat >"/etc/pki/ca-trust/source/anchors/$1.pem"
  update-ca-trust
}
