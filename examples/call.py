"""One message in, one reply out: asks a conductor for the bays of a project."""

import json
import os
import sys

import oslo_messaging
from oslo_config import cfg

project = sys.argv[1]
cfg.CONF([], project="call")
transport = oslo_messaging.get_rpc_transport(cfg.CONF, os.environ["TRANSPORT_URL"])
target = oslo_messaging.Target(
    exchange=os.environ.get("EXCHANGE", "magnum"), topic=os.environ.get("TOPIC", "magnum-conductor")
)
client = oslo_messaging.get_rpc_client(transport, target, timeout=60)
bays = client.call(
    {"project_id": project}, "object_class_action",
    objname="Bay", objmethod="list", objver="1.5", args=[], kwargs={},
)
print(json.dumps(bays))
