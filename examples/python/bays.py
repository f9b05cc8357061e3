"""Calls a conductor with nothing but an AMQP client: plain dicts, JSON or MessagePack.

    pip install -r requirements.txt
    export TRANSPORT_URL=amqp://guest:guest@127.0.0.1:5672/%2f
    export CONTEXT='{"auth_token": "...", "project_id": "...", "user_id": "..."}'
    python bays.py [--msgpack] model IMAGE FLAVOR NETWORK   creates a bay model and prints its uuid
    python bays.py [--msgpack] create NAME MODEL NODES      creates a bay and waits until it is there
    python bays.py [--msgpack] show BAY                     prints a bay, or why there is none
    python bays.py [--msgpack] delete BAY                   deletes it by a cast and waits for the notification
"""

import json
import os
import sys
import uuid

import msgpack
import pika

EXCHANGE = os.environ.get("EXCHANGE", "magnum")
TOPIC = os.environ.get("TOPIC", "magnum-conductor")
# While a call runs, the conductor gives a sign of life twice in this many seconds.
MONITOR = 10


class Failure(Exception):
    """What the conductor says when it refuses: `kind` is the class of the exception."""

    def __init__(self, failure):
        super().__init__(f"{failure['class']}: {failure['message']}")
        self.kind = failure["class"]


class Conductor:
    def __init__(self, url, context, packed=False):
        self.context = {f"_context_{key}": value for key, value in context.items()}
        self.packed = packed
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        # One queue for replies and for the notifications that are asked for; it goes when we go.
        self.queue = f"reply_{uuid.uuid4().hex}"
        self.channel.queue_declare(self.queue, exclusive=True)
        # A request that no conductor would get is an error at once, not a timeout.
        self.channel.confirm_delivery()

    def call(self, method, **args):
        """Sends a request and waits for its reply, as long as there are signs of life."""
        call = uuid.uuid4().hex
        self._send(method, args, _msg_id=call, _reply_q=self.queue, _timeout=MONITOR)
        for message in self._messages():
            if message.get("_msg_id") != call:
                continue  # of an earlier call
            if message["failure"]:
                raise Failure(json.loads(message["failure"]))
            if message["ending"]:
                return message["result"]
            print("still at it ...", file=sys.stderr)

    def cast(self, method, **args):
        """Sends a request that is not answered; its result is notified to our queue."""
        self._send(method, {**args, "notify_queue": self.queue})

    def notification(self, event):
        return next(message for message in self._messages() if message.get("event_type") == event)

    def _send(self, method, args, **more):
        # `_unique_id` makes a repeat harmless: send the same message again when you do not know whether it got there.
        message = {"method": method, "args": args, "_unique_id": uuid.uuid4().hex, **self.context, **more}
        body = msgpack.packb(message) if self.packed else json.dumps(message).encode()
        kind = "application/x-msgpack" if self.packed else "application/json"
        properties = pika.BasicProperties(content_type=kind, delivery_mode=2)
        self.channel.basic_publish(EXCHANGE, TOPIC, body, properties, mandatory=True)

    def _messages(self):
        for _, properties, body in self.channel.consume(self.queue, auto_ack=True, inactivity_timeout=3 * MONITOR):
            if body is None:
                raise TimeoutError("the conductor gives no sign of life")
            packed = properties.content_type == "application/x-msgpack"
            message = (msgpack.unpackb(body) if packed else json.loads(body))["oslo.message"]
            yield message if isinstance(message, dict) else json.loads(message)


def fields(bay):
    """The fields of an object: it is answered with its name and version around them."""
    return bay["magnum_object.data"]


def model(conductor, image, flavor, network):
    wanted = {
        "name": "mesos", "coe": "mesos", "cluster_distro": "ubuntu", "server_type": "vm", "image_id": image,
        "flavor_id": flavor, "master_flavor_id": flavor, "keypair_id": "testkey", "external_network_id": network,
        "dns_nameserver": "8.8.8.8",
    }
    changed, _ = conductor.call(
        "object_action", objname="BayModel", objinst=wanted, objmethod="create", args=[], kwargs={}
    )
    return changed["uuid"]


def create(conductor, name, model, nodes):
    bay = {"name": name, "baymodel_id": model, "node_count": int(nodes)}
    return fields(conductor.call("bay_create", bay=bay, wait=True))


def show(conductor, bay):
    try:
        return fields(conductor.call(
            "object_class_action", objname="Bay", objmethod="get_by_uuid", objver=None, args=[bay], kwargs={}
        ))
    except Failure as failure:
        if failure.kind == "BayNotFound":
            return None
        raise


def delete(conductor, bay):
    conductor.cast("bay_delete", uuid=bay)
    payload = conductor.notification("magnum.cluster.delete")["payload"]
    return {"bay": payload["target"]["id"], "outcome": payload["outcome"]}


def main(arguments):
    packed = "--msgpack" in arguments
    command, *rest = [argument for argument in arguments if argument != "--msgpack"]
    conductor = Conductor(os.environ["TRANSPORT_URL"], json.loads(os.environ.get("CONTEXT", "{}")), packed)
    commands = {"model": model, "create": create, "show": show, "delete": delete}
    print(json.dumps(commands[command](conductor, *rest)))
    conductor.connection.close()


if __name__ == "__main__":
    main(sys.argv[1:])
