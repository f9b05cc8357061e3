"""Runs a node's set-up in a throw-away root: the machine's own files below an overlay, with stand-ins for systemd, for
package managers and for the services, in a network of its own.

    unshare --mount --net --pid --fork --mount-proc run.py DIRECTORY SPECIFICATION_JSON

The specification has `distribution`, `role`, the `token` that Heat expects, the `packages` that an URL is given for,
`parameters` of the root template and, where it matters, `zookeeper`, the release that ZooKeeper says it has, and `image`,
the packages that the element for images has installed before. With
`tls_enabled` among the parameters certificates are made. Prints JSON: how two runs ended, what Heat was told, what each
of them left.
"""

import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tarfile
import threading

HERE = pathlib.Path(__file__).parent
ADDRESS = "10.9.0.1"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
told = []
packages = {}


class Outside(http.server.BaseHTTPRequestHandler):
    """Heat, and where packages come from."""

    def do_GET(self):
        body = packages.get(self.path.lstrip("/"))
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told.append({"token": self.headers["X-Auth-Token"], **body})
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_):
        pass


def archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"top/{name}")
            entry.size, entry.mode = len(text), 0o755
            tar.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def make_packages(zookeeper):
    service = (HERE / "stand_ins/service").read_bytes()
    server = f'#!/bin/sh\n[ "$1" != version ] || exec echo "Apache ZooKeeper, version {zookeeper} today"\nexec sleep 600\n'
    packages.update({
        "mesos.tgz": archive({"sbin/mesos-master": service, "sbin/mesos-agent": service, "lib/libmesos.so": b""}),
        "marathon.tgz": archive({"bin/marathon": service}),
        "zookeeper.tgz": archive({"bin/zkServer.sh": server.encode()}),
        "java.tgz": archive({
            "bin/java": b"#!/bin/sh\n", "bin/keytool": (HERE / "stand_ins/keytool").read_bytes()}),
        "docker.tgz": archive({"dockerd": b"#!/bin/sh\nexec sleep 600\n"}),
    })


def package_parameters(wanted):
    found = {}
    for name in ("zookeeper", "mesos", "marathon", "java", "docker"):
        if name in wanted:
            found[f"{name}_package_url"] = f"http://10.9.0.100:8000/{name}.tgz"
            found[f"{name}_package_sha256"] = hashlib.sha256(packages[f"{name}.tgz"]).hexdigest()
    return found


def certificates(directory, name):
    """An authority that has replaced another, and, signed by it, the one certificate of a bay's nodes."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, stderr=subprocess.DEVNULL)

    key = ("-newkey", "rsa:2048", "-nodes")
    sign = ("x509", "-req", "-days", "2", "-extfile", "extensions")
    openssl("req", "-x509", *key, "-subj", "/CN=bay", "-keyout", "old.key", "-out", "old.crt", "-days", "2")
    openssl("req", "-x509", *key, "-subj", "/CN=bay 2", "-keyout", "ca.key", "-out", "ca.crt", "-days", "2")
    openssl("req", "-new", "-key", "ca.key", "-subj", "/CN=bay 2", "-out", "cross.csr")
    (directory / "extensions").write_text("basicConstraints=critical,CA:true\n")
    openssl(*sign, "-in", "cross.csr", "-CA", "old.crt", "-CAkey", "old.key", "-out", "cross.crt")
    openssl("req", *key, "-subj", f"/CN={name}", "-keyout", "node.key", "-out", "node.csr")
    (directory / "extensions").write_text(f"subjectAltName=DNS:{name},DNS:localhost\n")
    openssl(*sign, "-in", "node.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-out", "node.crt")
    text = lambda *files: "".join((directory / file).read_text() for file in files)
    return {
        "ca_certificate": text("ca.crt", "old.crt"), "node_certificate": text("node.crt", "cross.crt"),
        "node_key": text("node.key"),
    }


def make_root(directory):
    subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)
    for part in ("upper", "work", "root"):
        (directory / part).mkdir()
    options = f"lowerdir=/,upperdir={directory}/upper,workdir={directory}/work"
    root = directory / "root"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    subprocess.run(["mount", "--rbind", "/dev", root / "dev"], check=True)
    shutil.copy(HERE / "stand_ins/systemctl", root / "usr/bin/systemctl")
    for name in ("apt-get", "apt-cache", "dnf", "rpm-ostree", "update-ca-certificates", "update-ca-trust"):
        shutil.copy(HERE / "stand_ins/packages", root / "usr/bin" / name)
        (root / "usr/sbin" / name).unlink(missing_ok=True)
    (root / "etc/pki/ca-trust/source/anchors").mkdir(parents=True, exist_ok=True)
    # Links as Mesosphere's packages make them: a master then has its library at several places.
    for place in ("local/lib", "lib"):
        (root / "usr" / place / "libmesos.so").touch()
    # What the machine happens to have is not what a node has.
    for name in ("java", "keytool", "stunnel", "stunnel4", "dockerd"):
        for place in ("bin", "sbin", "local/bin"):
            (root / "usr" / place / name).unlink(missing_ok=True)
    return root


def make_image(root, wanted):
    """What diskimage-builder does with the element's install.d, in the root itself."""
    shutil.copy(HERE.parent.parent / "image/elements/mesos-bay/install.d/50-mesos-bay", root / "run/install")
    sources = {
        "DIB_MESOS_BAY_" + name.replace("_package", "").upper(): value
        for name, value in package_parameters(wanted).items()
    }
    environment = [f"{name}={value}" for name, value in sources.items()]
    subprocess.run(
        ["chroot", root, "/usr/bin/env", "-i", f"PATH={SYSTEM_PATH}", *environment, "bash", "/run/install"], check=True)


def set_up(root):
    command = ["chroot", root, "/usr/bin/env", "-i", f"PATH={SYSTEM_PATH}", "bash", "/etc/mesos-bay/setup.sh"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def left(root):
    found = {}
    for folder in ("etc/mesos-bay", "etc/systemd/system", "etc/pki", "usr/local/share", "var/log"):
        for path in sorted((root / folder).rglob("*")):
            changed = (root.parent / "upper" / path.relative_to(root)).exists()
            if changed and path.is_file() and not path.is_symlink():
                mode = stat.filemode(path.stat().st_mode)
                found[f"/{path.relative_to(root)}"] = [mode, path.read_bytes().decode(errors="replace")]
    found["/etc/hosts"] = ["", (root / "etc/hosts").read_text()]
    return found


def main():
    directory, specification = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    make_packages(specification.get("zookeeper", "3.8.4"))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (ADDRESS, "10.9.0.100"):
        subprocess.run(["ip", "address", "add", f"{address}/24", "dev", "lo"], check=True)
    server = http.server.ThreadingHTTPServer(("10.9.0.100", 8000), Outside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    masters = {"private_ip": [ADDRESS], "port": ["port"], "resource.0.cidr": "10.9.0.0/24", "resource.0.subnet": "subnet"}
    attributes = {
        "network": {"network": "network", "subnet": "subnet"},
        "master_ports": masters,
        "place": {"private_ip": ADDRESS, "cidr": "10.9.0.0/24", "port": "port"},
        "ready_handle": {"endpoint": "http://10.9.0.100:8000/signal", "token": specification["token"]},
    }
    parameters = {
        "external_network": "public", "quorum": 1, "attributes": attributes,
        **package_parameters(specification["packages"]), **specification["parameters"],
    }
    root = make_root(directory)
    if parameters.get("tls_enabled"):
        parameters.update(certificates(directory, parameters["node_name"]))
    subprocess.run(
        [sys.executable, HERE / "render.py", HERE.parent.parent / "config/heat", specification["distribution"],
         specification["role"], json.dumps(parameters), directory / "rendered"],
        check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(directory / "rendered/files", root, dirs_exist_ok=True)
    os.chmod(root / "etc/mesos-bay/node.json", 0o600)
    if "image" in specification:
        make_image(root, specification["image"])
    runs = []
    for _ in range(2):
        end = set_up(root)
        runs.append({"status": end.returncode, "said": end.stdout + end.stderr, "files": left(root)})
    json.dump({"runs": runs, "told": told}, sys.stdout)


if __name__ == "__main__":
    main()
