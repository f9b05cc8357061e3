"""An oslo.messaging server that answers as the worker does: a ping, and a bay read from the same database.

Threading executor, the library's defaults otherwise. It reads with SQLAlchemy's Core, without the mapper that
Magnum's own objects go through, so that it costs less than a real magnum-conductor, not more.
"""

import argparse
import json
import os
import signal
import warnings

warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")

import oslo_messaging
import sqlalchemy
from oslo_config import cfg

# The fields of each object, with the column where it is called otherwise.
BAY_FIELDS = {
    "id": None,
    "uuid": None,
    "name": None,
    "project_id": None,
    "user_id": None,
    "baymodel_id": "cluster_template_id",
    "stack_id": None,
    "status": None,
    "status_reason": None,
    "api_address": None,
    "discovery_url": None,
    "bay_create_timeout": "create_timeout",
    "node_count": None,
    "master_count": None,
    "node_addresses": None,
    "master_addresses": None,
    "trust_id": None,
    "trustee_username": None,
    "trustee_user_id": None,
    "created_at": None,
    "updated_at": None,
}
MODEL_FIELDS = [
    "id",
    "uuid",
    "name",
    "project_id",
    "user_id",
    "image_id",
    "flavor_id",
    "master_flavor_id",
    "keypair_id",
    "dns_nameserver",
    "external_network_id",
    "fixed_network",
    "network_driver",
    "volume_driver",
    "apiserver_port",
    "docker_volume_size",
    "cluster_distro",
    "coe",
    "server_type",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "registry_enabled",
    "tls_disabled",
    "public",
    "labels",
    "created_at",
    "updated_at",
]
JSON_COLUMNS = {"node_addresses", "master_addresses", "labels"}

BAY = sqlalchemy.text(
    "SELECT t.*, workers.node_count, workers.node_addresses, masters.node_count AS master_count,"
    " masters.node_addresses AS master_addresses FROM cluster t"
    " LEFT JOIN nodegroup masters ON masters.cluster_id = t.uuid AND masters.name = 'default-master'"
    " LEFT JOIN nodegroup workers ON workers.cluster_id = t.uuid AND workers.name = 'default-worker'"
    " WHERE t.project_id = :project AND t.uuid = :uuid"
)
MODEL = sqlalchemy.text("SELECT * FROM cluster_template WHERE uuid = :uuid")


def plain(column, value):
    if value is None:
        return None
    if column in JSON_COLUMNS:
        return json.loads(value)
    if column.endswith("_at"):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def primitive(name, version, data):
    return {
        "magnum_object.name": name,
        "magnum_object.namespace": "magnum",
        "magnum_object.version": version,
        "magnum_object.data": data,
    }


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def __init__(self, engine):
        self.engine = engine

    def ping_conductor(self, ctxt):
        return True

    def object_class_action(self, ctxt, objname, objmethod, objver, args, kwargs):
        with self.engine.connect() as connection:
            bay = connection.execute(BAY, {"project": ctxt["project_id"], "uuid": args[0]}).mappings().one()
            model = connection.execute(MODEL, {"uuid": bay["cluster_template_id"]}).mappings().one()
        data = {field: plain(column or field, bay[column or field]) for field, column in BAY_FIELDS.items()}
        # As in the worker: no password, and no certificates.
        data.update(trustee_password=None, ca_cert_ref=None, magnum_cert_ref=None)
        data["baymodel"] = primitive("BayModel", "1.10", {field: plain(field, model[field]) for field in MODEL_FIELDS})
        return primitive("Bay", "1.5", data)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--amqp", required=True)
    options.add_argument("--exchange", required=True)
    options.add_argument("--topic", required=True)
    options.add_argument("--database", required=True)
    options.add_argument("--connections", type=int, required=True)
    options = options.parse_args()
    # The library registers its options late; what is set by the environment holds whenever it does.
    os.environ["OS_OSLO_MESSAGING_RABBIT__AMQP_AUTO_DELETE"] = "true"
    cfg.CONF([], project="bench", default_config_files=[])
    url = options.database.replace("postgres://", "postgresql+psycopg://", 1)
    engine = sqlalchemy.create_engine(url, pool_size=options.connections, max_overflow=0, isolation_level="AUTOCOMMIT")
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, options.amqp.replace("amqp://", "rabbit://", 1))
    target = oslo_messaging.Target(exchange=options.exchange, topic=options.topic, server="bench")
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint(engine)], executor="threading")
    server.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()
    server.wait()
    transport.cleanup()


if __name__ == "__main__":
    # Blocked before any thread is made, so that no thread of the library takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
