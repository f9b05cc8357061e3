"""What the three peers share: the transport, and JSON documents over stdin and stdout.

The peers are unmodified oslo.messaging: what they accept is what an OpenStack service accepts. Each prints
{"ready": true, "release": ...} when it can be used, one JSON document a line after that, and ends when its stdin does.
"""

import argparse
import importlib.metadata
import json
import logging
import os
import sys
import threading
import warnings

# Said by a dependency that is imported and not used here.
warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")

import oslo_messaging
from oslo_config import cfg
from oslo_serialization import jsonutils

RELEASE = importlib.metadata.version("oslo.messaging")
_print_lock = threading.Lock()


def parser(description):
    """The options that every peer takes."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--url", required=True, help="amqp://USER:PASSWORD@HOST:PORT/VHOST, percent-encoded")
    options.add_argument("--exchange", default="magnum", help="the control exchange")
    options.add_argument("--topic", required=True)
    options.add_argument("--durable", action="store_true", help="durable queues and exchanges")
    return options


def configure(options):
    """Prepares the one global configuration: release 18.3.1 makes no RPC with any other.

    The library registers its options late; what is set by the environment holds whenever it does.
    """
    log = logging.StreamHandler(sys.stderr)
    log.setLevel(logging.WARNING)
    logging.basicConfig(handlers=[log], format="%(name)s %(levelname)s: %(message)s")
    os.environ["OS_DEFAULT__RPC_PING_ENABLED"] = "true"
    os.environ["OS_OSLO_MESSAGING_RABBIT__AMQP_DURABLE_QUEUES"] = str(options.durable).lower()
    cfg.CONF([], project="peer", default_config_files=[])
    return cfg.CONF, options.url.replace("amqp://", "rabbit://", 1)


def library(*names):
    """The first of these that this release of the library has: several functions were renamed between releases."""
    return next(getattr(oslo_messaging, name) for name in names if hasattr(oslo_messaging, name))


def ready():
    emit({"ready": True, "release": RELEASE})


def emit(document):
    """Prints one document as a line, whole, from whichever thread."""
    line = json.dumps(jsonutils.to_primitive(document))
    with _print_lock:
        print(line, flush=True)


def commands():
    """The documents on stdin, until it ends."""
    for line in sys.stdin:
        if line.strip():
            yield json.loads(line)


def wait_for_end():
    """Returns when whoever started this peer has closed its stdin, or died."""
    for _ in sys.stdin:
        pass
